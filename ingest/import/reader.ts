import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Block, KnownDevice, Reason } from '../../domain/index.ts';
import type { RoomSchema } from '../../store/index.ts';
import type { Calibrations } from '../calibrations.ts';
import type { ProfileChecks } from '../checks.ts';
import { type CityVersion, type Context, versionAt } from '../context.ts';
import type { RawReading } from '../decode/index.ts';
import { pushChecked } from '../dedupe.ts';
import { createColumns, type ImportTally, type Outcome, type TypedColumns } from '../outcome.ts';
import { checksOf } from '../reader.ts';
import { Checked, checkReading } from '../validate.ts';
import { columnsOf, headerOf, type PartColumns, type PartHeader } from './part.ts';
import { FaultSums, type ImportReport } from './report.ts';

/** Steps of the table of imported parts, in the room of intake: each with the block that brought it first. */
export const IMPORT_STEPS: RoomSchema['steps'] = [
  'create table import_parts (id text primary key, seq integer not null) strict, without rowid',
];

/** The row of the ledger for imported rows of devices that were never registered; no device has such an id. */
const STRANGERS = '(unknown)';

/** Before this time there is no reading: a number of seconds that is taken for milliseconds is. */
const EARLIEST_MS = Date.UTC(1971, 0);

type Read = Pick<Outcome, 'imported' | 'replaced' | 'actions' | 'texts'>;

/** Where rows of one name in a part go: to a device, or nowhere, with the reason. */
interface Target {
  readonly id: string;
  readonly known: KnownDevice | null;
  readonly checks: ProfileChecks | null;
  /** They correct nothing where values are stored as the file has them. */
  readonly calibrations: Calibrations;
  readonly fault: readonly [Reason, string] | null;
  readonly tally: ImportTally;
}

/** What a part is read with. */
interface Place {
  readonly context: Context;
  readonly city: CityVersion | null;
  readonly seq: number;
  readonly receivedAt: number;
}

/** Reads `import` blocks: their rows are validated as live readings are, but for how old they may be. */
export class ImportReader {
  readonly #context: Context;
  readonly #find: StatementSync;
  readonly #save: StatementSync;
  /** Parts that have no row yet. */
  readonly #unsaved = new Map<string, number>();
  readonly #checked = new Checked();

  constructor(db: DatabaseSync, context: Context) {
    this.#context = context;
    this.#find = db.prepare('select seq from import_parts where id = ?');
    this.#save = db.prepare('insert or ignore into import_parts values (?, ?)');
  }

  /** Reads a part. One that an earlier block brought changes nothing. */
  read({ seq, receivedAt, body }: Block): Read {
    const header = headerOf(body);
    const actions = { items: [header.action], anchor: null };
    // What was measured is corrected again each time it is asked for: calibrations may have changed.
    const first = header.measured === true ? null : this.#firstOf(header.id);
    if (first !== null && first < seq) return { imported: repeated(header), replaced: createColumns(0), actions };
    const context = this.#context;
    const part = new PartReader(header, { context, city: context.cityAt(seq), seq, receivedAt });
    const texts = new Map<number, string>();
    this.#checked.texts = texts;
    part.read(columnsOf(body, header.rows), receivedAt, this.#checked);
    const isMeasured = header.measured === true;
    // The ledger counts what comes in: what was stored before has come in once.
    const tallies = isMeasured ? [] : part.tallies().filter(({ stored, refused }) => stored + refused > 0);
    const report = part.report();
    // What the city or the registry refused can be imported again once these are changed.
    if (!isMeasured && first === null && report.refused === unreadIn(header)) this.#unsaved.set(header.id, seq);
    return {
      imported: { report, tallies, forRules: header.rules, trains: header.train === true, isCounted: !isMeasured },
      replaced: part.readings,
      ...(texts.size === 0 ? {} : { texts }),
      actions,
    };
  }

  /** Writes which parts were read, inside a transaction. Call the result after the commit. */
  persist(): () => void {
    const saved = [...this.#unsaved.keys()];
    for (const id of saved) this.#save.run(id, this.#unsaved.get(id)!);
    return () => {
      for (const id of saved) this.#unsaved.delete(id);
    };
  }

  /** The block that brought a part first. */
  #firstOf(id: string): number | null {
    const known = this.#unsaved.get(id) ?? this.#find.get(id)?.seq;
    return known === undefined ? null : Number(known);
  }
}

/** Rows that could not be read in the file itself. */
const unreadIn = ({ faults, more }: PartHeader) => faults.reduce((sum, { count }) => sum + count, more);

function repeated(header: PartHeader): NonNullable<Outcome['imported']> {
  const all = header.rows + unreadIn(header);
  const report = { rows: all, stored: 0, refused: 0, repeated: all, faults: [], more: 0 };
  return { report, tallies: [], forRules: false, trains: false, isCounted: true };
}

/** Reads the rows of one part. */
class PartReader {
  readonly readings: TypedColumns;
  readonly #header: PartHeader;
  readonly #targets: readonly Target[];
  /** A raw reading of each field, which takes its values one after the other. */
  readonly #raws: readonly (RawReading & { ts: unknown; readonly metrics: Record<string, unknown> })[];
  readonly #strangers: ImportTally = { device: STRANGERS, stored: 0, refused: 0 };
  readonly #faults = new FaultSums();
  #stored = 0;

  constructor(header: PartHeader, place: Place) {
    this.#header = header;
    this.readings = createColumns(header.rows);
    this.#targets = header.devices.map((id) => this.#targetOf(id, place));
    this.#raws = header.metrics.map(([field, unit, text]) => ({
      path: '$',
      ts: 0,
      metrics: { [field]: text ?? 0 },
      units: unit === null ? null : { [field]: unit },
    }));
  }

  read({ ts, value, device, metric, line }: PartColumns, receivedAt: number, checked: Checked): void {
    const { faults, metrics, more } = this.#header;
    for (const { reason, detail, count, lines } of faults) this.#faults.add(reason, detail, () => detail, lines, count);
    this.#faults.more += more;
    this.#faults.count += more;
    this.#strangers.refused += this.#faults.count;
    for (let row = 0; row < this.#header.rows; row++) {
      const target = this.#targets[device[row]!]!;
      const [field, , text] = metrics[metric[row]!]!;
      if (target.fault !== null) {
        this.#refuse(target, target.fault, '', line[row]!);
        continue;
      }
      const raw = this.#raws[metric[row]!]!;
      raw.ts = ts[row]!;
      if (text === undefined) raw.metrics[field] = value[row]!;
      checkReading(raw, target.checks!, receivedAt, checked, { calibrations: target.calibrations, shiftMs: 0 });
      if (checked.length > 0) this.#store(target, checked);
      else this.#refuse(target, faultOf(checked, field), field, line[row]!);
    }
  }

  report(): ImportReport {
    const { count: refused, more } = this.#faults;
    const rows = this.#stored + refused;
    return { rows, stored: this.#stored, refused, repeated: 0, faults: this.#faults.list(), more };
  }

  tallies(): ImportTally[] {
    return [...new Set([this.#strangers, ...this.#targets.map(({ tally }) => tally)])];
  }

  #store({ known, tally }: Target, checked: Checked): void {
    // A file's value takes the place of one that may have been suspect; one that is corrected anew keeps its quality.
    const replaces = this.#header.measured !== true;
    for (let i = 0; i < checked.length; i++) pushChecked(this.readings, known!, checked, i, replaces);
    tally.stored++;
    this.#stored++;
  }

  #refuse({ id, tally }: Target, [reason, detail]: readonly [Reason, string], field: string, line: number): void {
    tally.refused++;
    this.#faults.add(reason, `${id} ${field}`, () => detail, [line]);
  }

  #targetOf(id: string, { context, city, seq, receivedAt }: Place): Target {
    const line = context.line(id);
    const version = line === undefined ? undefined : versionAt(line, seq);
    const known = version?.known ?? null;
    const tally = line === undefined ? this.#strangers : { device: id, stored: 0, refused: 0 };
    const all = version?.calibrations ?? null;
    const calibrations = this.#header.measured === true ? all : uncorrecting(all);
    const none = { id, known: null, checks: null, calibrations: null, tally };
    if (known === null) {
      const detail = `no device "${id}" is registered; register it, then import again`;
      return { ...none, fault: ['unknown-device', detail] };
    }
    const checks = checksOf(version!, known, city);
    if (checks === null) {
      const detail = `profile "${known.profile}" of device "${id}" is not in profiles.yaml`;
      return { ...none, fault: ['unknown-profile', detail] };
    }
    // `accepts.past` is about live readings.
    return { id, known, checks: { ...checks, pastMs: receivedAt - EARLIEST_MS }, calibrations, fault: null, tally };
  }
}

/**
 * Returns calibrations that correct nothing: what is imported is stored as the file has it, and as what was measured.
 */
function uncorrecting(calibrations: Calibrations): Calibrations {
  if (calibrations === null) return null;
  return new Map([...calibrations].map(([metric, { raw }]) => [metric, { raw, spans: [] }]));
}

/** Takes the fault of a value. */
function faultOf(checked: Checked, field: string): readonly [Reason, string] {
  const [fault] = checked.rejections;
  checked.rejections = [];
  if (fault === undefined) return ['unknown-metric', `the profile ignores "${field}"`];
  return [fault.reason, fault.detail];
}
