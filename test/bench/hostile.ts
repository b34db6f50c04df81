import { Arena, type Verdict } from '../kit/hostile/arena.ts';
import type { Times } from '../kit/hostile/times.ts';

/** What others wait for while one device floods. */
export interface Hostile {
  readonly devices: number;
  /** The rows: in quiet, and during each flood. PUBACKs of the others, `/health` and the list of tickets, ms. */
  readonly rows: readonly {
    readonly name: string;
    readonly puback: Times;
    readonly health: Times;
    readonly tickets: Times;
    /** Messages that the flooding device sent. */
    readonly sent: number;
  }[];
  /** Readings of the others that were acknowledged and are not in the history. */
  readonly lost: number;
}

const DEVICES = 1_000;
const FLOODS = ['flood-qos0', 'flood-qos1'];

/** A device floods at the speed of the machine while 1,000 others send a reading a second each (QoS 1). */
export async function hostile(seconds = 15, settings: Record<string, string> = {}): Promise<Hostile> {
  const arena = await Arena.open({ devices: DEVICES, settings, quietMs: seconds * 1_000 });
  try {
    const verdicts: Verdict[] = [];
    for (const flood of FLOODS) verdicts.push(await arena.withstands(flood, seconds * 1_000));
    const rows = verdicts.map(({ attack, attacked, figures }) => ({
      name: attack,
      ...attacked,
      sent: figures.messages!,
    }));
    const lost = await arena.lost();
    return { devices: DEVICES, rows: [{ name: 'quiet', ...verdicts[0]!.quiet, sent: 0 }, ...rows], lost: lost.length };
  } finally {
    await arena.close();
  }
}

/** Returns the result as Markdown. */
export function hostileText({ devices, rows, lost }: Hostile): string {
  const cells = ({ p50, p99, max }: Times) => `${p50} / ${p99} / ${max}`;
  const lines = rows.map(
    ({ name, sent, puback, health, tickets }) =>
      `| ${name} | ${sent.toLocaleString('en')} | ${cells(puback)} | ${cells(health)} | ${cells(tickets)} |`,
  );
  return [
    `one device floods, ${devices.toLocaleString('en')} others send a reading a second; p50 / p99 / max, ms`,
    '',
    '| | messages of the flood | PUBACK of the others | GET /health | GET /api/v1/tickets |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
    '',
    `${lost} acknowledged readings of the others are lost`,
  ].join('\n');
}
