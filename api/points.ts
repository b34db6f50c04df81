import { type Fill, nameOfState, type PointsSlice, type SliceSeries, type StateValues } from '../domain/index.ts';
import type { TextOf } from '../ingest/index.ts';

/** How series are written. */
export interface PointsFormat {
  readonly head: string;
  readonly tail: string;
  begin(series: SliceSeries, first: boolean): string;
  /** `first`: of its series. */
  point(ts: number, value: number | null, first: boolean): string;
  /** Of a series. */
  end(): string;
}

/** The values of a state, or what has the texts of a text. */
type NamesOfValues = StateValues | TextOf;

/**
 * Returns what names the values of a metric; undefined where they are numbers, and where points are no values of it.
 */
export type ValuesOf = (metric: string) => NamesOfValues | undefined;

/** Returns the name of a value: of one that has none, its code, or nothing of a text. */
export function nameOfValue(values: NamesOfValues, code: number): string {
  return typeof values === 'function' ? (values(code) ?? '') : nameOfState(values, code);
}

/**
 * JSON of the shape `{series: [{device, metric, unit, points: [[ms, value]]}]}`; a state has its `values` beside, and a
 * text those that it has here.
 */
export function jsonPoints(valuesOf: ValuesOf): PointsFormat {
  let textOf: TextOf | null = null;
  const codes = new Set<number>();
  return {
    head: '{"series":[',
    tail: ']}',
    begin: ({ device, metric, unit }, first) => {
      const values = valuesOf(metric);
      textOf = typeof values === 'function' ? values : null;
      const series = JSON.stringify({ device, metric, unit, values: textOf === null ? values : undefined });
      return `${first ? '' : ','}${series.slice(0, -1)},"points":[`;
    },
    point(ts, value, first) {
      if (textOf !== null && value !== null) codes.add(value);
      return `${first ? '' : ','}[${ts},${Number.isFinite(value) ? value : null}]`;
    },
    end() {
      if (textOf === null) return ']}';
      const values = [...codes].map((code) => ({ code, name: textOf!(code) })).filter(({ name }) => name !== null);
      codes.clear();
      return `],"values":${JSON.stringify(values)}}`;
    },
  };
}

/** Points of one piece of text: less than a millisecond of work. */
export const PIECE_POINTS = 2_000;

interface Options {
  readonly format: PointsFormat;
  /** The gaps that are written as null; null where they are left out. */
  readonly fill: Fill | null;
  /** Called with the number of points of each piece. */
  readonly written: (points: number) => void;
}

/**
 * Yields slices as text, piece by piece; other work of the thread runs between two pieces. The first piece comes after
 * the first slice, so that what is wrong with the query is thrown before anything is sent.
 */
export async function* textOfPoints(
  slices: AsyncIterable<PointsSlice>,
  { format, fill, written }: Options,
): AsyncGenerator<string, void, undefined> {
  const writer = new PointsWriter(format, fill);
  for await (const slice of slices) {
    for (const _ of writer.write(slice)) {
      written(writer.points);
      yield writer.take();
      await turn();
    }
  }
  for (const _ of writer.finish()) {
    written(writer.points);
    yield writer.take();
    await turn();
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Gathers text; its generators pause where a piece is full. */
class PointsWriter {
  readonly #format: PointsFormat;
  readonly #fill: Fill | null;
  #text: string;
  #series: SliceSeries | null = null;
  /** Start of the next interval of the series, as a number from 0. */
  #interval = 0;
  #first = true;
  /** Points of the piece. */
  points = 0;

  constructor(format: PointsFormat, fill: Fill | null) {
    this.#format = format;
    this.#fill = fill;
    this.#text = format.head;
  }

  /** Returns the piece and begins the next one. */
  take(): string {
    const text = this.#text;
    this.#text = '';
    this.points = 0;
    return text;
  }

  *write({ series, ts, value }: PointsSlice): Generator<void, void, undefined> {
    for (const [at, one] of series.entries()) {
      yield* this.#goTo(one);
      const to = series[at + 1]?.from ?? ts.length;
      for (let row = one.from; row < to; row++) {
        if (this.#fill !== null) yield* this.#gaps(Math.round((ts[row]! - this.#fill.firstMs) / this.#fill.everyMs));
        this.#add(ts[row]!, value[row]!);
        if (this.points >= PIECE_POINTS) yield;
      }
    }
  }

  *finish(): Generator<void, void, undefined> {
    yield* this.#endSeries();
    this.#text += this.#format.tail;
    yield;
  }

  /** Ends the series and begins another one, unless it is the same. */
  *#goTo(series: SliceSeries): Generator<void, void, undefined> {
    const before = this.#series;
    if (before?.device === series.device && before.metric === series.metric) return;
    yield* this.#endSeries();
    this.#text += this.#format.begin(series, before === null);
    this.#series = series;
    this.#interval = 0;
    this.#first = true;
  }

  *#endSeries(): Generator<void, void, undefined> {
    if (this.#series === null) return;
    if (this.#fill !== null) yield* this.#gaps(this.#fill.intervals);
    this.#text += this.#format.end();
  }

  /** Writes the intervals up to this one as gaps. */
  *#gaps(until: number): Generator<void, void, undefined> {
    const { firstMs, everyMs } = this.#fill!;
    while (this.#interval < until) {
      this.#add(firstMs + this.#interval * everyMs, null);
      if (this.points >= PIECE_POINTS) yield;
    }
  }

  #add(ts: number, value: number | null): void {
    this.#text += this.#format.point(ts, value, this.#first);
    this.#first = false;
    this.#interval++;
    this.points++;
  }
}
