import type { Calendar, City, Device, Page, Rule } from '../../domain/index.ts';
import type { RuleRepository } from '../repository.ts';

/** A device of a backtest. Its silence counts from its registration on. */
export interface BacktestDevice extends Device {
  /** Epoch ms; absent: registered before the backtest starts. */
  readonly registeredMs?: number;
}

/** Everything that decides the result of a backtest, besides the readings. Plain data. */
export interface BacktestInput {
  readonly rule: Rule;
  /** The rule in force with the same id; null where there is none, or it is the same. */
  readonly inForce: Rule | null;
  readonly devices: readonly BacktestDevice[];
  readonly calendars: ReadonlyMap<string, Calendar>;
  /** IANA zone of the city. */
  readonly zone: string;
  /** Metrics of each profile, for rules about any metric. */
  readonly metrics: ReadonlyMap<string, readonly string[]>;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Returns the part of a backtest's input that comes from the city and the rules in force. */
export function backtestInput(
  city: City,
  rule: Rule,
  inForce: Rule | null,
): Omit<BacktestInput, 'devices' | 'fromMs' | 'toMs'> {
  return {
    rule,
    inForce: inForce === null || inForce.version === rule.version ? null : inForce,
    calendars: city.calendars,
    zone: city.timezone,
    metrics: new Map([...city.profiles.values()].map(({ id, metrics }) => [id, metrics])),
  };
}

/** Returns the rule in force with this id; null where there is none. */
export function ruleInForce(rules: Pick<RuleRepository<unknown>, 'get' | 'resolve'>, id: string): Rule | null {
  return rules.get(id)?.inForce === true ? rules.resolve(id, '') : null;
}

const PAGE = 1_000;

/** Returns every registered device, with its time of registration. */
export function backtestDevices(
  list: (query: { limit: number; after: string | null }) => Page<Device & { readonly registeredAt: string }>,
): BacktestDevice[] {
  const devices: BacktestDevice[] = [];
  let after: string | null = null;
  do {
    const page: ReturnType<typeof list> = list({ limit: PAGE, after });
    for (const { registeredAt, ...device } of page.items) {
      devices.push({ ...device, registeredMs: Date.parse(registeredAt) });
    }
    after = page.next;
  } while (after !== null);
  return devices;
}
