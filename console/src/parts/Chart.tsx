import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import type { Series } from '../api/schema.ts';
import { useWords, type Words } from '../language.ts';

/** A part of the time that is shaded, epoch ms. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly kind: 'window' | 'firing';
}

/** A line of a chart. `name` is for the legend, where the device and the metric do not say it. */
export type Drawn = Series & { readonly name?: string };

interface Props {
  readonly label: string;
  readonly series: readonly Drawn[];
  /** Whether a value counts until the next one, as counts of parts of a time do. */
  readonly stepped?: boolean;
  readonly lines?: readonly number[];
  readonly spans?: readonly Span[];
  /** Called with the range that somebody drew, epoch ms. */
  readonly onRange?: (fromMs: number, toMs: number) => void;
}

const COLOURS = ['#0c8a80', '#6a5acd', '#c2571a', '#1c6bb0', '#a23b72', '#5d7a1f', '#8a5a00', '#4f5b66'];
const SHADES = { window: 'rgba(28, 107, 176, 0.16)', firing: 'rgba(190, 50, 30, 0.12)' };
const HEIGHT = 240;
/** The same at every render: another list would draw the chart anew. */
const NONE: readonly never[] = [];

/** Readings over time, with thresholds and shaded spans. The text beside it says the same to who does not see it. */
export function Chart({ label, series, stepped = false, lines = NONE, spans = NONE, onRange }: Props) {
  const words = useWords();
  const scheme = useComputedColorScheme('light');
  const box = useRef<HTMLDivElement>(null);
  // Another function at each render does not draw the chart anew, under the hand that draws on it.
  const latest = useRef(onRange);
  latest.current = onRange;
  const isRanged = onRange !== undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours of the scheme are drawn into it.
  useEffect(() => {
    const node = box.current!;
    const ranged: Props['onRange'] = isRanged ? (fromMs, toMs) => latest.current?.(fromMs, toMs) : undefined;
    const drawing = { series, stepped, lines, spans, onRange: ranged, node, words };
    const made = new uPlot(optionsOf(drawing), dataOf(series), node);
    const watch = new ResizeObserver(() => made.setSize({ width: node.clientWidth, height: HEIGHT }));
    watch.observe(node);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [series, stepped, lines, spans, isRanged, words, scheme]);
  return <div ref={box} role="img" aria-label={label} style={{ minHeight: HEIGHT, minWidth: 0 }} />;
}

/** One column of times, and one of values for each series. */
function dataOf(series: readonly Series[]): uPlot.AlignedData {
  const tables = series.map(
    ({ points }) => [points.map(([ms]) => ms / 1_000), points.map(([, value]) => value)] as uPlot.AlignedData,
  );
  return tables.length === 0 ? [[], []] : uPlot.join(tables);
}

interface Drawing {
  readonly series: readonly Drawn[];
  readonly stepped: boolean;
  readonly lines: readonly number[];
  readonly spans: readonly Span[];
  readonly onRange: Props['onRange'] | undefined;
  readonly node: HTMLElement;
  readonly words: Words;
}

function optionsOf({ series, stepped, lines, spans, onRange, node, words }: Drawing): uPlot.Options {
  const style = getComputedStyle(node);
  const axis = {
    stroke: style.getPropertyValue('--mantine-color-dimmed'),
    grid: { stroke: style.getPropertyValue('--line'), width: 1 },
    ticks: { stroke: style.getPropertyValue('--line'), width: 1 },
  };
  return {
    width: node.clientWidth || 600,
    height: HEIGHT,
    // The last time of the axis is written as far to the right of its place.
    padding: [null, 36, null, null],
    cursor: { drag: { x: onRange !== undefined, y: false, setScale: false } },
    scales: {
      x: { range: (_, from, to) => timesOf(from, to, spans) },
      y: { range: (_, low, high) => rangeOf([low, high, ...lines]) },
    },
    axes: [
      { ...axis, space: 90, values: (_, times) => words.axis(times) },
      { ...axis, ...valuesOf(series), values: (_, values) => values.map((value) => labelOf(series[0], value, words)) },
    ],
    series: [
      { label: words.t('range'), value: (_, at) => (at === null ? '–' : words.time(at * 1_000)) },
      ...series.map((one, i) => ({
        label: one.name ?? `${one.device} · ${one.metric} (${one.unit})`,
        value: (_: uPlot, value: number | null) => (value === null ? '–' : labelOf(one, value, words)),
        stroke: COLOURS[i % COLOURS.length]!,
        width: 1.5,
        spanGaps: true,
        // A value of a state holds until the next.
        ...(one.values === undefined && !stepped ? {} : { paths: uPlot.paths.stepped!({ align: 1 }) }),
        points: { size: 4 },
      })),
    ],
    hooks: {
      drawClear: [(plot) => shade(plot, spans)],
      draw: [(plot) => rule(plot, lines, style.getPropertyValue('--critical'))],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width > 4) onRange?.(plot.posToVal(left, 'x') * 1_000, plot.posToVal(left + width, 'x') * 1_000);
        },
      ],
    },
  };
}

/** The name of a value, where the series is of a state. */
export function nameIn({ values }: Series, value: number): string | undefined {
  return values?.find(({ code }) => code === value)?.name;
}

/** Of states, the axis has their values only. */
function valuesOf([first]: readonly Series[]): Partial<uPlot.Axis> {
  const codes = first?.values?.map(({ code }) => code).sort((a, b) => a - b);
  return codes === undefined ? { size: 56 } : { size: 88, splits: codes };
}

function labelOf(series: Series | undefined, value: number, words: Words): string {
  return (series && nameIn(series, value)) ?? words.number(value);
}

/** The times of the values and of the spans: what fires goes on after the last value. None where there is no value. */
function timesOf(from: number | null, to: number | null, spans: readonly Span[]): [number | null, number | null] {
  if (from === null || to === null) return [null, null];
  return [
    Math.min(from, ...spans.map(({ fromMs }) => fromMs / 1_000)),
    Math.max(to, ...spans.map(({ toMs }) => toMs / 1_000)),
  ];
}

/** The range of the values with some air, thresholds included. */
function rangeOf(values: readonly (number | null)[]): [number, number] {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (known.length === 0) return [0, 1];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const air = (high - low || Math.abs(high) || 1) * 0.08;
  return [low - air, high + air];
}

function shade(plot: uPlot, spans: readonly Span[]): void {
  const { left, top, width, height } = plot.bbox;
  for (const { fromMs, toMs, kind } of spans) {
    const from = Math.max(left, plot.valToPos(fromMs / 1_000, 'x', true));
    const to = Math.min(left + width, plot.valToPos(toMs / 1_000, 'x', true));
    plot.ctx.fillStyle = SHADES[kind];
    if (to > from) plot.ctx.fillRect(from, top, Math.max(1, to - from), height);
  }
}

function rule(plot: uPlot, lines: readonly number[], colour: string): void {
  const { left, width } = plot.bbox;
  plot.ctx.save();
  plot.ctx.strokeStyle = colour;
  plot.ctx.lineWidth = 1.5 * uPlot.pxRatio;
  plot.ctx.setLineDash([6, 4]);
  for (const value of lines) {
    const y = plot.valToPos(value, 'y', true);
    plot.ctx.beginPath();
    plot.ctx.moveTo(left, y);
    plot.ctx.lineTo(left + width, y);
    plot.ctx.stroke();
  }
  plot.ctx.restore();
}
