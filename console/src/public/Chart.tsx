import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import type { Series } from '../api/schema.ts';
import { type PublicWords, useWords } from './words.ts';

const HEIGHT = 240;

/** A metric over time. The sentence below it says the same to who does not see it. */
export default function PublicChart({ series, label }: { readonly series: Series; readonly label: string }) {
  const words = useWords();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const node = box.current!;
    const made = new uPlot(optionsOf(series, node, words), columnsOf(series), node);
    const watch = new ResizeObserver(() => made.setSize({ width: node.clientWidth, height: HEIGHT }));
    watch.observe(node);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [series, words]);
  return <div ref={box} role="img" aria-label={label} className="chart" />;
}

const columnsOf = ({ points }: Series): uPlot.AlignedData => [
  points.map(([ms]) => ms / 1_000),
  points.map(([, value]) => value),
];

function optionsOf({ metric, unit }: Series, node: HTMLElement, words: PublicWords): uPlot.Options {
  const style = getComputedStyle(node);
  const line = { stroke: style.getPropertyValue('--line'), width: 1 };
  const axis = { stroke: style.getPropertyValue('--dim'), grid: line, ticks: line };
  return {
    width: node.clientWidth || 600,
    height: HEIGHT,
    axes: [
      { ...axis, space: 110, values: (_, times) => words.axis(times) },
      { ...axis, size: 56, values: (_, values) => values.map((value) => words.number(value)) },
    ],
    series: [
      { label: words.t('at'), value: (_, at) => (at === null ? '–' : words.time(at * 1_000)) },
      {
        label: `${metric} (${unit})`,
        value: (_, value) => (value === null ? '–' : words.number(value)),
        stroke: style.getPropertyValue('--accent'),
        width: 1.5,
      },
    ],
  };
}
