import type { DatabaseSync } from 'node:sqlite';
import type { Logger } from 'pino';
import {
  type Block,
  type City,
  type Clock,
  FAULT_GROUP,
  LIMIT_GROUP,
  type MetricTable,
  type ReadingColumns,
  type Rule,
  type Subject,
  type Transition,
} from '../domain/index.ts';
import { type Context, createRuleRecords, type Intake, type Outcome, type RuleRecords } from '../ingest/index.ts';
import type { JournalReader } from '../journal/index.ts';
import { transact } from '../store/index.ts';
import type { Checksum } from './checksum.ts';
import { createConsumerStore } from './consumer-store.ts';
import { createRuleEngine, type Explanation, type Moment, type RuleEngine, type StateRow } from './engine/index.ts';
import { rulesInForce } from './in-force.ts';

/** What the effects of a transition are written with. */
export interface TransitionContext {
  /** The rule in the version that matched, also where it has just been removed. */
  readonly rule: Rule;
  readonly subject: Subject;
  readonly city: City;
}

/** Writes the alert, ticket and events of one transition. Called inside the transaction that moves the cursor. */
export type Effects = (transition: Transition, context: TransitionContext) => void;

/**
 * What blocks do besides transitions of alerts: actions of people, and what comes due by the time of a block.
 */
export interface BlockEffects {
  /** Whether something is due at the time of a block, as the state is on disk. */
  isDue(block: Pick<Block, 'seq' | 'receivedAt'>): boolean;
  /** Writes them, after the transitions of the block. Called inside the transaction that moves the cursor. */
  apply(outcome: Outcome): void;
}

/**
 * The consumer of the journal that decides alerts. Effects and cursor are one transaction (promise 3). Windows are
 * written at checkpoints only. After a crash the blocks between checkpoint and cursor run again without effects, which
 * leads to the same state, since the engine is a function of the journal (promise 4).
 */
export interface RulesConsumer extends Pick<RuleEngine, 'explain' | 'explainDevice'> {
  /**
   * Steps that restore the state as it was at the cursor, a block at a time; `step` may be called after the last one.
   */
  start(): Generator<void, void, undefined>;
  /**
   * Reads the next blocks and returns their outcomes (empty: nothing new); those of a failed commit come with the next
   * step.
   */
  step(): readonly Outcome[];
  /** Writes cursor and windows. */
  checkpoint(): void;
  cursor(): number;
  /** The block that the state in memory is of: before the cursor while `start` runs, past it until the next commit. */
  reached(): number;
  /** The block after which the next start needs the journal. */
  checkpointed(): number;
  rules(): readonly Rule[];
  /** Civil minus steady time at the newest block that it has read, ms. */
  civilOffsetMs(): number;
}

interface Deps {
  readonly db: DatabaseSync;
  readonly journal: JournalReader;
  readonly intake: Intake;
  readonly context: Context;
  readonly effects: Effects;
  /** Absent: blocks do nothing but transitions. */
  readonly blocks?: BlockEffects;
  /** To which the effects add what they write. Absent: none is kept. */
  readonly checksum?: Checksum;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after a commit that held effects. */
  readonly onEffects: () => void;
  /** Pure: the rules of a city's files and of the API together; `rulesInForce` unless a test replaces it. */
  readonly rulesOf?: typeof rulesInForce;
}

type Decided =
  | { readonly outcome: Outcome; readonly transition: Transition; readonly rule: Rule }
  /** The block's own effects, after its transitions. */
  | { readonly outcome: Outcome; readonly transition: null };

const BLOCKS_AT_ONCE = 32;
/**
 * A cursor without effects may be written late: the same blocks decide the same again. Where ticks alone come, one a
 * second, every other one writes it.
 */
const LAZY_COMMIT_MS = 1_500;

/** Returns a consumer that feeds the journal's blocks to the rule engine and commits what it decides. */
export function createRulesConsumer(deps: Deps): RulesConsumer {
  return new Consumer(deps);
}

class Consumer implements RulesConsumer {
  readonly #deps: Deps;
  readonly #engine: RuleEngine;
  readonly #store: ReturnType<typeof createConsumerStore>;
  readonly #records: RuleRecords;
  #rules: readonly Rule[] = [];
  #cursor = 0;
  #reached = 0;
  #committed = 0;
  #committedAt: number;
  #checkpoint = 0;
  /** Decided, but not committed. */
  #unapplied: Decided[] = [];
  /** Outcomes that no step has returned yet. */
  #pending: Outcome[] = [];
  /** What followed from a change of rules that could not be committed yet: the engine is configured once. */
  #reconfigured: readonly Decided[] | null = null;
  /** States that no checkpoint has stored yet. */
  #unsaved: StateRow[] = [];

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#engine = createRuleEngine({ metrics: deps.context.metrics as MetricTable });
    this.#store = createConsumerStore(deps.db);
    this.#records = createRuleRecords(deps.db);
    this.#committedAt = deps.clock.now();
  }

  cursor(): number {
    return this.#committed;
  }

  reached(): number {
    return Math.max(this.#reached, this.#cursor);
  }

  checkpointed(): number {
    return this.#checkpoint;
  }

  rules(): readonly Rule[] {
    return this.#rules;
  }

  civilOffsetMs(): number {
    return this.#engine.civilOffsetMs();
  }

  explain(rule: string, group: string): Explanation | null {
    return this.#engine.explain(rule, group);
  }

  explainDevice(device: string): Explanation[] {
    return this.#engine.explainDevice(device);
  }

  *start(): Generator<void, void, undefined> {
    const progress = this.#store.progress();
    if (progress === null) return;
    this.#committed = progress.cursor;
    this.#reached = progress.checkpoint;
    this.#checkpoint = progress.checkpoint;
    const moment = { seq: this.#checkpoint, atMs: 0 };
    this.#configure(moment);
    for (const device of this.#deps.context.devicesAt(this.#checkpoint)) this.#engine.deviceChanged(device, moment);
    this.#engine.restore(this.#store.states());
    yield;
    yield* this.#replayTo(progress.cursor);
    this.#cursor = progress.cursor;
  }

  step(): readonly Outcome[] {
    // What could not be committed goes first: nothing may be decided on top of effects that are not on disk.
    if (this.#unapplied.length > 0) this.#commit();
    const outcomes = this.#outcomesAfter(this.#cursor);
    this.#pending.push(...outcomes);
    this.#unapplied = outcomes.flatMap((outcome) => this.#decide(outcome));
    if (!this.#unapplied.some((decided) => this.#hasEffect(decided))) this.#unapplied = [];
    this.#cursor = outcomes.at(-1)?.block.seq ?? this.#cursor;
    const late = this.#committed < this.#cursor && this.#deps.clock.now() - this.#committedAt >= LAZY_COMMIT_MS;
    if (this.#unapplied.length > 0 || late) this.#commit();
    const taken = this.#pending;
    this.#pending = [];
    return taken;
  }

  checkpoint(): void {
    if (this.#unapplied.length > 0) this.#commit();
    this.#unsaved.push(...this.#engine.takeDirty());
    const before = this.#checkpoint;
    this.#checkpoint = this.#cursor;
    try {
      this.#write(() => this.#store.saveStates(this.#unsaved));
      this.#unsaved = [];
    } catch (error) {
      this.#checkpoint = before;
      throw error;
    }
  }

  /** Configures the rules as they are from a block on; none before the first city. */
  #configure({ seq, ...when }: Moment): Transition[] {
    const { context, log, rulesOf = rulesInForce } = this.#deps;
    const version = context.cityAt(seq);
    if (version === null) return [];
    const { rules, problems } = rulesOf(version, this.#records.at(seq));
    for (const [rule, found] of problems) {
      const why = found.map(({ line, column, message }) => `${line}:${column} ${message}`);
      log.warn({ rule, problems: why }, 'a rule of the API is not in force');
    }
    this.#rules = rules;
    const { calendars, timezone: zone } = version.city;
    return this.#engine.configure({ rules, calendars, zone }, { seq, ...when });
  }

  #decide(outcome: Outcome): Decided[] {
    const decided = this.#named(outcome, () => this.#transitionsOf(outcome));
    const { kind } = outcome.block;
    if (kind === 'rule') return [...decided, { outcome, transition: null }];
    if (this.#deps.blocks === undefined) return decided;
    // What the state promised in durations moves before anything is decided after the step; what came due while the
    // server was down is done before anything that came after that.
    if (kind === 'clock' || kind === 'start') return [{ outcome, transition: null }, ...decided];
    const { actions, city, notices, progress, said } = outcome;
    const isEffect =
      kind === 'tick' || said.length > 0 || [actions, city, notices, progress].some((one) => one !== null);
    return isEffect ? [...decided, { outcome, transition: null }] : decided;
  }

  /** A rule that a change replaces or removes ends its alerts in the version that raised them. */
  #named(outcome: Outcome, work: () => Transition[]): Decided[] {
    const before = this.#rules;
    const transitions = work();
    const known = before === this.#rules ? this.#rules : [...before, ...this.#rules];
    return transitions.map((transition) => ({ outcome, transition, rule: ruleOf(transition, known) }));
  }

  /** Configures the rules that a block has changed, once that is decided; returns what follows. */
  #reconfigure(outcome: Outcome): readonly Decided[] {
    const { block } = outcome;
    if (!this.#records.changedIn(block.seq)) return [];
    return this.#named(outcome, () => this.#configure(momentOf(block)));
  }

  /** A tick at which nothing is due writes nothing: it is not worth a transaction. */
  #hasEffect({
    transition,
    outcome: { block, rule, actions, city, clock, notices, progress, said },
  }: Decided): boolean {
    if (said.length > 0 || [transition, rule, actions, city, clock, notices, progress].some((one) => one !== null))
      return true;
    return this.#deps.blocks!.isDue(block);
  }

  #transitionsOf({ block, readings, replaced, faults, city, devices, rule, imported }: Outcome): Transition[] {
    const moment = momentOf(block);
    // What it changes is configured once it is decided.
    if (rule !== null) return [];
    if (block.kind === 'tick' || block.kind === 'start') return this.#engine.tick(moment);
    if (city !== null) return this.#configure(moment);
    if (devices !== null) {
      return [
        ...devices.revoked.flatMap((device) => this.#engine.deviceRevoked(device, moment)),
        ...devices.changed.flatMap((device) => this.#engine.deviceChanged(device, moment)),
      ];
    }
    // Readings of the past, which the rules take where somebody asked for it.
    if (imported?.forRules === true) return this.#engine.step(replaced, moment);
    if (imported?.trains === true) return this.#engine.train(replaced, moment);
    const rows = faults.length === 0 ? readings : joined(readings, faults);
    return rows.length === 0 ? this.#engine.tick(moment) : this.#engine.step(rows, moment);
  }

  #commit(): void {
    const effects = this.#unapplied.length > 0;
    this.#write(() => {
      for (const decided of this.#unapplied) this.#apply(decided);
      const last = this.#unapplied.at(-1);
      // A change of rules ends its step: nothing after it was decided by the rules before it.
      if (last === undefined || !mayChangeRules(last.outcome)) return;
      this.#reconfigured ??= this.#reconfigure(last.outcome);
      for (const decided of this.#reconfigured) this.#apply(decided);
    });
    this.#unapplied = [];
    this.#reconfigured = null;
    if (effects) this.#deps.onEffects();
  }

  #apply(decided: Decided): void {
    const { context, effects, log, checksum } = this.#deps;
    const { outcome, transition } = decided;
    checksum?.at(outcome.block.seq);
    if (transition === null) {
      if (outcome.rule === null) this.#deps.blocks!.apply(outcome);
      // A change from before changes were actions: it was decided when it was appended.
      else this.#records.put(outcome.block.seq, 0, outcome.rule);
      return;
    }
    const { rule } = decided;
    const { group, to, evidence } = transition;
    if (group === FAULT_GROUP) {
      const fault = { rule: transition.rule, to, detail: evidence.detail };
      log.error(fault, 'a rule met an error: it alone is disabled until it changes');
    }
    const { seq } = outcome.block;
    checksum?.add(JSON.stringify(transition));
    effects(transition, { rule, subject: subjectOf(group, rule, seq, context), city: context.cityAt(seq)!.city });
  }

  #write(work: () => void): void {
    const { db, intake, clock, checksum } = this.#deps;
    const persisted = transact(db, () => {
      checksum?.begin();
      work();
      const done = intake.persist();
      checksum?.save(this.#cursor);
      this.#store.save({ cursor: this.#cursor, checkpoint: this.#checkpoint });
      return done;
    });
    persisted();
    this.#committed = this.#cursor;
    this.#committedAt = clock.now();
  }

  /** The next outcomes, up to one that may change the rules: what is after it is decided by those. */
  #outcomesAfter(seq: number): Outcome[] {
    const outcomes: Outcome[] = [];
    for (const block of this.#blocksAfter(seq)) {
      const outcome = this.#deps.intake.outcome(block);
      outcomes.push(outcome);
      // A part of an import is as much work as a thousand blocks.
      if (mayChangeRules(outcome) || outcome.imported !== null) break;
    }
    return outcomes;
  }

  #blocksAfter(seq: number): Block[] {
    const blocks = this.#deps.journal.after(seq, BLOCKS_AT_ONCE);
    const next = blocks[0]?.seq ?? seq + 1;
    if (next !== seq + 1) throw new Error(`the journal lacks blocks ${seq + 1} to ${next - 1}, which the rules need`);
    return blocks;
  }

  *#replayTo(cursor: number): Generator<void, void, undefined> {
    while (this.#reached < cursor) {
      const blocks = this.#blocksAfter(this.#reached).filter((block) => block.seq <= cursor);
      if (blocks.length === 0)
        throw new Error(`the journal lacks blocks ${this.#reached + 1} to ${cursor}, which the rules need`);
      for (const block of blocks) {
        const outcome = this.#deps.intake.outcome(block);
        this.#decide(outcome);
        this.#reconfigure(outcome);
        this.#reached = block.seq;
        yield;
      }
    }
  }
}

function mayChangeRules({ rule, actions }: Outcome): boolean {
  return rule !== null || (actions?.items.some(({ command }) => command.do.startsWith('rule.')) ?? false);
}

/** What the engine sees of a block's two times. */
function momentOf({ seq, kind, receivedAt, steadyAt }: Omit<Block, 'body'>): Moment {
  return { seq, atMs: receivedAt, offsetMs: receivedAt - steadyAt, afterDown: kind === 'start' };
}

/** The rule in the version that the transition belongs to. */
function ruleOf({ rule: id, evidence }: Transition, known: readonly Rule[]): Rule {
  const named = known.filter((rule) => rule.id === id);
  return named.find(({ version }) => version === evidence.ruleVersion) ?? named[0]!;
}

/**
 * The device, district, city or rule that a group stands for, as it was at a block; a device revoked there as it was
 * before.
 */
function subjectOf(group: string, { forEach }: Rule, seq: number, context: Context): Subject {
  if (group === LIMIT_GROUP || group === FAULT_GROUP) return { kind: 'rule' };
  if (forEach === 'device') return { kind: 'device', device: deviceOf(group, seq, context) };
  const { name, districts } = context.cityAt(seq)!.city;
  if (forEach === 'city') return { kind: 'city', title: name };
  return { kind: 'district', id: group, title: districts.get(group)?.title ?? { en: group, zh: group } };
}

function deviceOf(id: string, seq: number, context: Context) {
  const upTo = context.line(id)!.versions.filter((version) => version.seq <= seq);
  return upTo.findLast((version) => version.known !== null)!.known!;
}

/** The rows of both, one after the other; none of the second is suspect. */
function joined(a: ReadingColumns, b: ReadingColumns): ReadingColumns {
  const column = (name: 'metric' | 'ts' | 'value') => [...a[name].slice(0, a.length), ...b[name].slice(0, b.length)];
  const device = [...a.device.slice(0, a.length), ...b.device.slice(0, b.length)];
  const columns = { device, metric: column('metric'), ts: column('ts'), value: column('value') };
  return { length: a.length + b.length, ...columns, suspect: a.suspect ?? null };
}
