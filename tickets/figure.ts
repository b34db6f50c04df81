import type { Evidence, Transition } from '../domain/index.ts';
import { renderValue } from './title.ts';

type Window = Evidence['window'];

/** What a transition rests on, in a few words: `mean of pm25 is 91.23 (alert above 75)`. */
export function figureOf({ value, evidence }: Pick<Transition, 'value' | 'evidence'>): string {
  const { window, detail } = evidence;
  if (window.fn === 'fault') return detail ?? 'the rule met an error';
  const figure = renderValue(value);
  if (window.fn === 'limit') return `${figure} groups would fire (at most ${limitOf(window)})`;
  if (window.fn === 'quorum') return `${figure} devices match (alert from ${limitOf(window)})`;
  return `${subjectOf(window)} is ${figure} (alert ${window.op} ${limitOf(window)})`;
}

function subjectOf({ fn, metric }: Window): string {
  if (fn === 'last') return metric;
  if (fn === 'absent') return `silence of ${metric === '*' ? 'the device' : metric} in seconds`;
  return `${fn} of ${metric}`;
}

function limitOf({ threshold }: Window): string {
  if (threshold === null) return 'what is still being learned';
  return typeof threshold === 'number' ? renderValue(threshold) : threshold.map(renderValue).join(' to ');
}
