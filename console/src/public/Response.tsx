import { useState } from 'react';
import type { OversightLine, PublicCity, PublicOversight } from '../api/schema.ts';
import { dataOf, useOversight } from './data.ts';
import { useWords } from './words.ts';

const COUNTS = ['opened', 'open', 'overdue', 'resolved', 'late', 'reopened'] as const;
const BY = ['service', 'district', 'week'] as const;
const WEEKS = ['52', '104', '260'] as const;
const ALL = { weeks: '52', service: '', district: '' };

/** How the city responds, by service, district or week; of one service or district, over one to five years. */
export function Response({ city }: { readonly city: PublicCity }) {
  const { t, language } = useWords();
  const [by, setBy] = useState<(typeof BY)[number]>('service');
  const [about, setAbout] = useState(ALL);
  const chosen = Object.entries(about).filter(([, value]) => value !== '');
  const address = `/public/oversight.json?${new URLSearchParams(chosen)}`;
  const data = dataOf(useOversight(address));
  const titled = (all: PublicCity['districts'] | PublicCity['services']) =>
    [['', t('all')], ...all.map(({ id, title }) => [id, title[language]])] as [string, string][];
  const choices: readonly [name: keyof typeof about, text: string, choices: [string, string][]][] = [
    ['service', t('service'), titled(city.services)],
    ['district', t('district'), titled(city.districts)],
    ['weeks', t('span'), WEEKS.map((value) => [value, t('years', { n: Number(value) / 52 })])],
  ];
  return (
    <section className="panel" aria-labelledby="oversight">
      <h2 id="oversight">{t('oversight')}</h2>
      <search className="row" aria-label={t('oversight')}>
        <Choice text={t('by')} value={by} choices={BY.map((one) => [one, t(one)])} choose={setBy} />
        {choices.map(([name, text, values]) => (
          <Choice
            key={name}
            {...{ text, value: about[name], choices: values }}
            choose={(value) => setAbout((before) => ({ ...before, [name]: value }))}
          />
        ))}
      </search>
      {data !== null && <Lines data={data} by={by} />}
      <p className="dim">
        {t('oversight.about')} <a href={address}>{t('download.oversight')}</a>
      </p>
    </section>
  );
}

interface ChoiceProps<T extends string> {
  readonly text: string;
  readonly value: T;
  readonly choices: readonly (readonly [value: T, text: string])[];
  readonly choose: (value: T) => void;
}

function Choice<T extends string>({ text, value, choices, choose }: ChoiceProps<T>) {
  return (
    <label>
      {text}
      <select value={value} onChange={(event) => choose(event.currentTarget.value as T)}>
        {choices.map(([one, name]) => (
          <option key={one} value={one}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

interface LinesProps {
  readonly data: PublicOversight;
  readonly by: (typeof BY)[number];
}

function Lines({ data, by }: LinesProps) {
  const { t, language, number, duration } = useWords();
  const seconds = (value: number | null) => (value === null ? '–' : duration(value * 1_000));
  const nameOf = {
    service: (line: OversightLine) => data.services[line.service ?? '']?.[language] ?? '',
    district: (line: OversightLine) => data.districts[line.district ?? '']?.[language] ?? t('no-district'),
    week: (line: OversightLine) => line.week ?? '',
  }[by];
  const lines = { service: data.byService, district: data.byDistrict, week: data.byWeek }[by];
  const isPart = data.service !== null || data.district !== null;
  const total = data.total === null ? [] : [{ name: t(isPart ? 'total' : 'city'), line: data.total }];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard can scroll only what it reaches.
    <section className="scroll tall" tabIndex={0} aria-label={t('oversight')}>
      <table className="list">
        <thead>
          <tr>
            <th>{t(by)}</th>
            {COUNTS.map((key) => (
              <th key={key} className="num">
                {t(key)}
              </th>
            ))}
            <th className="num">{t('acknowledge')}</th>
            <th className="num">{t('resolve')}</th>
            <th className="num">{t('rating')}</th>
          </tr>
        </thead>
        <tbody>
          {[...total, ...lines.map((line) => ({ name: nameOf(line), line }))].map(({ name, line }) => (
            <tr key={`${line.department} ${line.service} ${line.district} ${line.week}`}>
              <td>{name}</td>
              {COUNTS.map((key) => (
                <td key={key} className="num">
                  {number(line[key])}
                </td>
              ))}
              {[line.acknowledge, line.resolve].map(({ medianSeconds, p90Seconds }, i) => (
                <td key={i === 0 ? 'acknowledge' : 'resolve'} className="num">
                  {`${seconds(medianSeconds)} / ${seconds(p90Seconds)}`}
                </td>
              ))}
              <td className="num">{line.ratings.mean === null ? '–' : `${number(line.ratings.mean)} ★`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
