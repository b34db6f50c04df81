/** What the process itself puts into the log as actions. */
import type { Logger } from 'pino';
import type { ActionLog, Caller, createResultReader } from '../actions/index.ts';
import { type ActionRecord, type City, requesterId } from '../domain/index.ts';
import type { EarlierReceiver, Sealer } from '../notify/index.ts';
import type { RuleActions } from '../rules/index.ts';
import type { CityActions, LoadedCity } from './city-in-force.ts';
import type { Threads } from './threads/start.ts';

/** Who acts where the process itself does, without anybody who asks for it over HTTP. */
const ITSELF: Caller = {
  actor: { kind: 'key', id: 'lamppost', role: 'admin', department: null },
  address: null,
  key: null,
};

/** Returns how changes of rules enter the log. */
export function ruleActions(actions: Pick<ActionLog, 'submit'>): RuleActions<Caller> {
  return {
    create: (draft, caller) => actions.submit({ do: 'rule.create', ...draft }, caller),
    change: (rule, draft, ifMatch, caller) => actions.submit({ do: 'rule.change', rule, ifMatch, ...draft }, caller),
    remove: (rule, note, ifMatch, caller) => actions.submit({ do: 'rule.remove', rule, ifMatch, note }, caller),
  };
}

/** Where actions go, and what repeated ones got. */
export interface Recorded {
  readonly actions: Pick<ActionLog, 'submit' | 'accompany'>;
  readonly results: ReturnType<typeof createResultReader>;
}

interface CityParts {
  readonly journal: Pick<Threads['journal'], 'control'>;
  readonly notify: Pick<Threads['notify'], 'city'>;
  /** Passes what clients may do in a city to the broker. */
  readonly bound: (city: City) => Promise<void>;
  /** Called once there is somebody who can ask. */
  readonly recorded: () => Recorded;
}

/** Returns how a city is brought into force. */
export function cityActions({ journal, notify, bound, recorded }: CityParts): CityActions {
  async function pass({ control, city }: Pick<LoadedCity, 'control' | 'city'>): Promise<void> {
    await notify.city(control);
    await bound(city);
  }

  return {
    pass,
    async change(next, caller, inForce) {
      const { control } = next;
      let appended: Promise<number> = Promise.resolve(0);
      const append = (action: ActionRecord) => {
        appended = journal.control('city', { ...control, action }, control.version);
        return appended;
      };
      const command = { do: 'city.reload', version: control.version } as const;
      const decided = recorded().actions.accompany(command, caller ?? ITSELF, append);
      // Awaited last: who needs the city gets it once it is in the log.
      decided.catch(() => {});
      const seq = await appended;
      await pass(next);
      inForce();
      // Nobody waits for what the process itself did.
      if (caller !== null) await decided;
      return seq;
    },
    keep: (version, caller) => recorded().actions.submit({ do: 'city.reload', version }, caller),
    repeated({ actor, key }) {
      const value = key === null ? null : recorded().results.get(requesterId(actor), key)?.result.value;
      return (value as { version?: string } | null | undefined)?.version ?? null;
    },
  };
}

interface Adoption {
  readonly notify: Pick<Threads['notify'], 'earlier'>;
  readonly actions: Pick<ActionLog, 'submit'>;
  readonly sealer: Sealer;
  readonly log: Logger;
}

/**
 * Puts receivers from before they were records into the log, once, with their secrets sealed. Nobody waits for it:
 * where it fails, the next start tries again.
 */
export function adoptReceivers({ notify, actions, sealer, log }: Adoption): void {
  const adopt = async () => {
    const earlier = await notify.earlier();
    if (earlier.length === 0) return;
    const receivers = sealedReceivers(earlier, sealer);
    const adopted = await actions.submit({ do: 'receiver.adopt', receivers }, ITSELF);
    log.info({ adopted }, 'webhooks and subscriptions are records of the log now');
  };
  adopt().catch((error: unknown) => log.error({ err: error }, 'webhooks of before could not enter the log'));
}

type Earlier = Awaited<ReturnType<Threads['notify']['earlier']>>;

/** Returns receivers as the log may have them. */
export function sealedReceivers(earlier: Earlier, sealer: Pick<Sealer, 'seal'>): EarlierReceiver[] {
  return earlier.map(({ definition, secrets, subscriptions }) => ({
    definition: sealedIn(definition, sealer),
    secrets: secrets.map(({ secret, ...one }) => ({ ...one, sealed: sealer.seal(secret) })),
    subscriptions,
  }));
}

function sealedIn<T extends { readonly settings: object }>(definition: T, sealer: Pick<Sealer, 'seal'>): T {
  const { settings } = definition;
  if (!('authorization' in settings) || typeof settings.authorization !== 'string') return definition;
  return { ...definition, settings: { ...settings, authorization: sealer.seal(settings.authorization) } };
}
