import type { DatabaseSync } from 'node:sqlite';
import type { Block, City, Clock, MetricTable, Rule, RuleControl, Subject, Transition } from '../domain/index.ts';
import type { CityVersion, Context, Intake, Outcome } from '../ingest/index.ts';
import type { JournalReader } from '../journal/index.ts';
import { transact } from '../store/index.ts';
import { createConsumerStore } from './consumer-store.ts';
import { createRuleEngine } from './engine/index.ts';
import type { RuleEngine, StateRow } from './engine/types.ts';
import { subjectOf } from './subject.ts';

/** What surrounds a transition when its effects are written. */
export interface TransitionContext {
  /** The rule as it was when it matched, also where it has just vanished. */
  readonly rule: Rule;
  readonly subject: Subject;
  readonly city: City;
}

/** Writes alert, ticket and events of one transition; called inside the transaction that moves the cursor. */
export type Effects = (transition: Transition, context: TransitionContext) => void;

/**
 * The consumer that decides. Effects and cursor are one transaction (promise 3). Windows are written at checkpoints
 * only; after a crash the blocks between checkpoint and cursor run again without effects, which leads to the same
 * state, since the engine is a function of the journal (promise 4).
 */
export interface RulesConsumer extends Pick<RuleEngine, 'explain' | 'explainDevice'> {
  /** Restores the state as it was at the cursor. */
  start(): void;
  /** Takes the next blocks; gives their outcomes (empty: nothing new), those of a step whose commit failed with the next. */
  step(): readonly Outcome[];
  /** Writes cursor and windows. */
  checkpoint(): void;
  cursor(): number;
  /** What the journal must keep for the next start. */
  checkpointed(): number;
  rules(): readonly Rule[];
}

interface Deps {
  readonly db: DatabaseSync;
  readonly journal: JournalReader;
  readonly intake: Intake;
  readonly context: Context;
  readonly effects: Effects;
  readonly clock: Clock;
  /** Pure: the rules of a city's files and of the API together. */
  readonly rulesOf: (city: CityVersion, records: readonly RuleControl[]) => readonly Rule[];
  /** Told after a commit that held effects. */
  readonly onEffects: () => void;
}

const BLOCKS_AT_ONCE = 32;
/** A cursor without effects may be written late: the same blocks again decide the same. */
const LAZY_COMMIT_MS = 250;

/** Feeds journal blocks to the rule engine and commits what it decides. */
export function createRulesConsumer(deps: Deps): RulesConsumer {
  const { db, journal, intake, context, clock } = deps;
  const engine: RuleEngine = createRuleEngine({ metrics: context.metrics as MetricTable });
  const store = createConsumerStore(db);
  let current: readonly Rule[] = [];
  let cursor = 0;
  let committed = 0;
  let checkpoint = 0;
  let committedAt = clock.now();
  let unapplied: Decided[] = [];
  let untold: Outcome[] = [];
  let unsaved: StateRow[] = [];

  /** The rules as they stand from a block on; none before the first city. */
  function configure(seq: number, atMs: number): Transition[] {
    const version = context.cityAt(seq);
    if (version === null) return [];
    current = deps.rulesOf(version, context.rulesAt(seq));
    const { calendars, timezone: zone } = version.city;
    return engine.configure({ rules: current, calendars, zone }, { seq, atMs });
  }

  function decide(outcome: Outcome): Transition[] {
    const { block, readings, city, devices, rule } = outcome;
    const moment = { seq: block.seq, atMs: block.receivedAt };
    if (block.kind === 'tick') return engine.tick(moment);
    if (city !== null || rule !== null) return configure(block.seq, block.receivedAt);
    if (devices !== null) {
      return [
        ...devices.revoked.flatMap((device) => engine.deviceRevoked(device, moment)),
        ...devices.changed.flatMap((device) => engine.deviceChanged(device, moment)),
      ];
    }
    return readings.length === 0 ? engine.tick(moment) : engine.step(readings, moment);
  }

  function write(work: () => void): void {
    const persisted = transact(db, () => {
      work();
      const done = intake.persist();
      store.save({ cursor, checkpoint });
      return done;
    });
    persisted();
    committed = cursor;
    committedAt = clock.now();
  }

  /** A rule that this very block replaced or removed ends its alerts under the text that raised them. */
  function attach(outcome: Outcome): Decided[] {
    const before = current;
    const transitions = decide(outcome);
    const known = before === current ? current : [...before, ...current];
    return transitions.map((transition) => ({ outcome, transition, rule: ruleOf(transition, known) }));
  }

  function apply({ outcome, transition, rule }: Decided): void {
    const { seq } = outcome.block;
    const subject = subjectOf(transition.group, rule, seq, context);
    deps.effects(transition, { rule, subject, city: context.cityAt(seq)!.city });
  }

  function blocksAfter(seq: number): Block[] {
    const blocks = journal.after(seq, BLOCKS_AT_ONCE);
    const next = blocks[0]?.seq ?? seq + 1;
    if (next !== seq + 1) throw new Error(`the journal lacks blocks ${seq + 1} to ${next - 1}, which the rules need`);
    return blocks;
  }

  function takeBlocks(): Outcome[] {
    return blocksAfter(cursor).map((block) => intake.outcome(block));
  }

  function replayToCursor(): void {
    for (let seq = checkpoint; seq < cursor; ) {
      const blocks = blocksAfter(seq).filter((block) => block.seq <= cursor);
      if (blocks.length === 0)
        throw new Error(`the journal lacks blocks ${seq + 1} to ${cursor}, which the rules need`);
      for (const block of blocks) {
        attach(intake.outcome(block));
        seq = block.seq;
      }
    }
  }

  function commit(): void {
    const effects = unapplied.length > 0;
    write(() => unapplied.forEach(apply));
    unapplied = [];
    if (effects) deps.onEffects();
  }

  return {
    cursor: () => committed,
    checkpointed: () => checkpoint,
    rules: () => current,
    explain: (rule, group) => engine.explain(rule, group),
    explainDevice: (device) => engine.explainDevice(device),
    start() {
      const progress = store.progress();
      if (progress === null) return;
      cursor = committed = progress.cursor;
      checkpoint = progress.checkpoint;
      configure(checkpoint, 0);
      const moment = { seq: checkpoint, atMs: 0 };
      for (const device of context.devicesAt(checkpoint)) engine.deviceChanged(device, moment);
      engine.restore(store.states());
      replayToCursor();
    },
    step() {
      // What could not be committed goes first: nothing may be decided on top of effects that are not on disk.
      if (unapplied.length > 0) commit();
      const outcomes = takeBlocks();
      untold.push(...outcomes);
      unapplied = outcomes.flatMap(attach);
      cursor = outcomes.at(-1)?.block.seq ?? cursor;
      const late = committed < cursor && clock.now() - committedAt >= LAZY_COMMIT_MS;
      // Somebody waits for the answer to a change of a rule.
      const awaited = outcomes.some(({ rule }) => rule !== null);
      if (unapplied.length > 0 || late || awaited) commit();
      const taken = untold;
      untold = [];
      return taken;
    },
    checkpoint() {
      if (unapplied.length > 0) commit();
      unsaved.push(...engine.takeDirty());
      const before = checkpoint;
      checkpoint = cursor;
      try {
        write(() => store.saveStates(unsaved));
        unsaved = [];
      } catch (error) {
        checkpoint = before;
        throw error;
      }
    },
  };
}

/** The rule in the version that the transition is of. */
function ruleOf({ rule: id, evidence }: Transition, known: readonly Rule[]): Rule {
  const named = known.filter((rule) => rule.id === id);
  return named.find(({ version }) => version === evidence.ruleVersion) ?? named[0]!;
}

interface Decided {
  readonly outcome: Outcome;
  readonly transition: Transition;
  readonly rule: Rule;
}
