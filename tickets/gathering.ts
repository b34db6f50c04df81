import type { AlertLabels, City, GroupKey, Service } from '../domain/index.ts';
import type { Titles } from './title.ts';

/** What an alert has in common with those that it is gathered with: its service, and what the service gathers by. */
export function gatherKeyOf(labels: AlertLabels, by: readonly GroupKey[]): string {
  const parts = by.map((key) => `${key}=${labels[key] ?? ''}`);
  return [labels.service, ...parts].join('|');
}

/** The titles of a ticket of several alerts. */
export function gatheredTitles(
  { title }: Pick<Service, 'title'>,
  { district }: Pick<AlertLabels, 'district'>,
  { districts }: Pick<City, 'districts'>,
): Titles {
  const place = districts.get(district)?.title;
  return {
    title: `${title.en}${place === undefined ? '' : `, ${place.en}`}: several alerts`,
    titleZh: `${place === undefined ? '' : `${place.zh}：`}${title.zh}（多处报警）`,
  };
}
