import type { DatabaseSync } from 'node:sqlite';
import type { Block, City, Clock, KnownDevice, MetricTable, Rule, Transition } from '../domain/index.ts';
import type { CityVersion, Context, Intake, JournalReader, Outcome } from '../ingest/index.ts';
import { createRuleEngine, type RuleEngine } from './engine/index.ts';

/** SQL of the rules' own state: how far they came, and what their windows held at the last checkpoint. */
export const RULES_SCHEMA = `
  create table if not exists rules_cursor (
    one integer primary key check (one = 1), seq integer not null, checkpoint integer not null
  ) strict;
  create table if not exists rules_state (
    rule text not null, grp text not null, version text not null, state blob not null, primary key (rule, grp)
  ) strict, without rowid;
`;

/** What surrounds a transition when its effects are written. */
export interface TransitionContext {
  /** The rule as it was when it matched, also where it has just vanished. */
  readonly rule: Rule;
  readonly device: KnownDevice;
  readonly city: City;
}

/** Writes alert, ticket and events of one transition; called inside the transaction that moves the cursor. */
export type Effects = (transition: Transition, context: TransitionContext) => void;

/**
 * The consumer that decides. Effects and cursor are one transaction (promise 3). Windows are written at checkpoints
 * only; after a crash the blocks between checkpoint and cursor run again without effects, which leads to the same
 * state, since the engine is a function of the journal (promise 4).
 */
export interface RulesConsumer {
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
  readonly rulesOf: (city: CityVersion) => readonly Rule[];
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
  const rules = new Map<string, Rule>();
  let current: readonly Rule[] = [];
  let cursor = 0;
  let committed = 0;
  let checkpoint = 0;
  let committedAt = clock.now();
  let unapplied: Decided[] = [];
  let untold: Outcome[] = [];
  let unsaved: ReturnType<RuleEngine['takeDirty']> = [];

  const saveCursor = db.prepare('insert or replace into rules_cursor values (1, ?, ?)');
  const saveState = db.prepare('insert or replace into rules_state values (?, ?, ?, ?)');
  const dropState = db.prepare('delete from rules_state where rule = ? and grp = ?');

  function configure(city: CityVersion, seq: number, atMs: number): Transition[] {
    current = deps.rulesOf(city);
    return engine.configure(current, { seq, atMs });
  }

  function decide(outcome: Outcome): Transition[] {
    const { block, readings, city, devices } = outcome;
    const moment = { seq: block.seq, atMs: block.receivedAt };
    if (block.kind === 'tick') return engine.tick(moment);
    if (city !== null) return configure(city, block.seq, block.receivedAt);
    if (devices !== null) {
      return [
        ...devices.revoked.flatMap((device) => engine.deviceRevoked(device, moment)),
        ...devices.changed.flatMap((device) => engine.deviceChanged(device, moment)),
      ];
    }
    return readings.length === 0 ? [] : engine.step(readings, moment);
  }

  function transact(work: () => void): void {
    db.exec('begin immediate');
    try {
      work();
      const persisted = intake.persist();
      saveCursor.run(cursor, checkpoint);
      db.exec('commit');
      persisted();
    } catch (error) {
      if (db.isTransaction) db.exec('rollback');
      throw error;
    }
    committed = cursor;
    committedAt = clock.now();
  }

  /** A rule that this very block replaced or removed ends its alerts under the text that raised them. */
  function attach(outcome: Outcome): Decided[] {
    const before = new Map(rules);
    const transitions = decide(outcome);
    if (outcome.city !== null) {
      rules.clear();
      for (const rule of current) rules.set(rule.id, rule);
    }
    return transitions.map((transition) => ({ outcome, transition, rule: before.get(transition.rule)! }));
  }

  function apply({ outcome, transition, rule }: Decided): void {
    const { city } = context.cityAt(outcome.block.seq)!;
    deps.effects(transition, { rule, device: deviceOf(transition, outcome), city });
  }

  function deviceOf(transition: Transition, outcome: Outcome): KnownDevice {
    const { versions } = context.line(transition.group)!;
    const upTo = versions.filter((version) => version.seq <= outcome.block.seq);
    return upTo.findLast((version) => version.known !== null)!.known!;
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

  function saveStates(): void {
    for (const { rule, group, version, state } of unsaved) {
      if (state === null) dropState.run(rule, group);
      else saveState.run(rule, group, version, state);
    }
  }

  function commit(): void {
    const effects = unapplied.length > 0;
    transact(() => unapplied.forEach(apply));
    unapplied = [];
    if (effects) deps.onEffects();
  }

  return {
    cursor: () => committed,
    checkpointed: () => checkpoint,
    rules: () => current,
    start() {
      const row = db.prepare('select * from rules_cursor').get();
      if (row === undefined) return;
      cursor = committed = Number(row.seq);
      checkpoint = Number(row.checkpoint);
      const city = context.cityAt(checkpoint);
      if (city !== null) configure(city, checkpoint, 0);
      for (const rule of current) rules.set(rule.id, rule);
      const moment = { seq: checkpoint, atMs: 0 };
      for (const device of context.devicesAt(checkpoint)) engine.deviceChanged(device, moment);
      const states = db.prepare('select rule, grp as "group", version, state from rules_state').all();
      engine.restore(states as unknown as Parameters<RuleEngine['restore']>[0]);
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
      if (unapplied.length > 0 || late) commit();
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
        transact(saveStates);
        unsaved = [];
      } catch (error) {
        checkpoint = before;
        throw error;
      }
    },
  };
}

interface Decided {
  readonly outcome: Outcome;
  readonly transition: Transition;
  readonly rule: Rule;
}
