import type { Permission, RuleControl } from '../domain/index.ts';
import type { Discards, ReplayRequest } from '../ingest/index.ts';
import type {
  EarlierReceiver,
  EmailSettings,
  EventRange,
  NewSubscription,
  ReceiverWriter,
  WebhookSettings,
} from '../notify/index.ts';
import type { RuleDraft, RuleWriter } from '../rules/index.ts';
import type { Place } from './command.ts';

/** Settings of a webhook without what is sealed. */
type PlainSettings = Omit<WebhookSettings, 'authorization'>;
/** What was drawn or sealed for a request: other at each attempt, so that two requests do not differ by it. */
interface Drawn<T> {
  readonly drawn: T;
}

/** What people set and administer. The names are in the log: they are only added, never changed. */
export type Administration =
  | ({ readonly do: 'rule.create' } & RuleDraft)
  | ({ readonly do: 'rule.change'; readonly rule: string; readonly ifMatch: readonly string[] | null } & RuleDraft)
  | {
      readonly do: 'rule.remove';
      readonly rule: string;
      readonly ifMatch: readonly string[] | null;
      readonly note: string;
    }
  /** The city that its folder describes: part of the `city` block that brings it, or alone where it is in force. */
  | { readonly do: 'city.reload'; readonly version: string }
  | { readonly do: 'quarantine.discard'; readonly ids: readonly string[]; readonly note: string }
  /** The blocks of the replay follow, as fast as they are settled. */
  | { readonly do: 'quarantine.replay'; readonly chosen: ReplayRequest }
  | ({ readonly do: 'webhook.add'; readonly settings: PlainSettings; readonly after: number | null } & Drawn<{
      readonly secret: string;
      readonly authorization: string | null;
    }>)
  | ({ readonly do: 'webhook.change'; readonly webhook: string; readonly settings: Partial<PlainSettings> } & Drawn<{
      readonly authorization?: string | null;
    }>)
  | ({ readonly do: 'webhook.rotate'; readonly webhook: string } & Drawn<{ readonly secret: string }>)
  | { readonly do: 'webhook.remove' | 'webhook.disable' | 'webhook.ping'; readonly webhook: string }
  | { readonly do: 'webhook.enable'; readonly webhook: string; readonly missed: 'deliver' | 'skip' }
  | { readonly do: 'webhook.redeliver'; readonly webhook: string; readonly what: string | EventRange }
  | { readonly do: 'subscription.add'; readonly subscription: NewSubscription }
  | {
      readonly do: 'subscription.change';
      readonly subscription: string;
      readonly settings: Partial<EmailSettings>;
    }
  | {
      readonly do: 'subscription.remove' | 'subscription.disable' | 'subscription.test';
      readonly subscription: string;
    }
  | { readonly do: 'subscription.enable'; readonly subscription: string; readonly missed: 'deliver' | 'skip' }
  | { readonly do: 'subscription.redeliver'; readonly subscription: string; readonly delivery: string }
  /** Receivers from before they were records, once, by the process itself. */
  | { readonly do: 'receiver.adopt'; readonly receivers: readonly EarlierReceiver[] };

/** Names what follows from an action outside of the state: what is done again for it is done once. */
export interface Cause {
  /** The place of the action in the log. */
  readonly place: string;
}

/** What the API responds with to each of them. */
export interface AdministrationResults {
  readonly 'rule.create': RuleControl;
  readonly 'rule.change': RuleControl;
  readonly 'rule.remove': RuleControl;
  /** Whether another city was in force before. */
  readonly 'city.reload': { readonly changed: boolean; readonly version: string };
  readonly 'quarantine.discard': Cause;
  readonly 'quarantine.replay': Cause;
  /** The secret is sealed. */
  readonly 'webhook.add': { readonly id: string; readonly secret: string };
  readonly 'webhook.change': null;
  readonly 'webhook.rotate': { readonly secret: string };
  readonly 'webhook.remove': null;
  readonly 'webhook.disable': null;
  readonly 'webhook.enable': null;
  readonly 'webhook.ping': Cause;
  readonly 'webhook.redeliver': Cause;
  readonly 'subscription.add': { readonly id: string };
  readonly 'subscription.change': null;
  readonly 'subscription.remove': null;
  readonly 'subscription.disable': null;
  readonly 'subscription.enable': null;
  readonly 'subscription.test': Cause;
  readonly 'subscription.redeliver': Cause;
  /** How many were taken over. */
  readonly 'receiver.adopt': number;
}

/** What these commands change. Each decides in the order of the log, and throws what it refuses. */
export interface Administered {
  readonly rules: RuleWriter;
  readonly discards: Discards;
  readonly receivers: ReceiverWriter;
  /** Decides whether a city differs from the one in force before this place. Throws `city` for one with mistakes. */
  readonly reload: (version: string) => boolean;
}

type Value = AdministrationResults[keyof AdministrationResults];

const RIGHTS: Readonly<Record<string, Permission>> = {
  rule: 'rules.write',
  city: 'city.write',
  quarantine: 'quarantine.write',
  webhook: 'webhooks.write',
  subscription: 'subscriptions.write',
  receiver: 'webhooks.write',
};

/** Returns the right that a command needs. */
export const rightOf = ({ do: name }: Administration): Permission => RIGHTS[name.split('.')[0]!]!;

/** Does what an administrator asks for; returns the value of the response, and what it was done to. */
export function administer(
  command: Administration,
  by: string,
  place: Place,
  on: Administered,
): { readonly value: Value; readonly target: string } {
  const target = administered(command);
  switch (command.do) {
    case 'rule.create': {
      const value = on.rules.create(command, { ...place, by });
      return { value, target: `rule ${value.id}` };
    }
    case 'rule.change':
      return { value: on.rules.change(command.rule, command, command.ifMatch, { ...place, by }), target };
    case 'rule.remove':
      return { value: on.rules.remove(command.rule, command.note, command.ifMatch, { ...place, by }), target };
    case 'city.reload':
      return { value: { changed: on.reload(command.version), version: command.version }, target };
    case 'quarantine.discard':
      on.discards.add({
        ids: command.ids,
        note: command.note,
        by,
        atMs: place.atMs,
        agedMs: place.agedMs,
        place: place.name,
      });
      return { value: { place: place.name }, target };
    case 'quarantine.replay':
      return { value: { place: place.name }, target };
    case 'receiver.adopt':
      return { value: on.receivers.adopt(command.receivers, place), target };
    default:
      return setReceiver(command, place, on.receivers);
  }
}

type OfReceivers = Extract<Administration, { readonly do: `${'webhook' | 'subscription'}.${string}` }>;

function setReceiver(command: OfReceivers, place: Place, receivers: ReceiverWriter) {
  const target = administered(command);
  switch (command.do) {
    case 'webhook.add': {
      const { settings, after, drawn } = command;
      const { secret, authorization } = drawn;
      const id = receivers.addWebhook({ settings: { ...settings, authorization }, after, secret }, place);
      return { value: { id, secret }, target: `webhook ${id}` };
    }
    case 'webhook.change':
      receivers.changeWebhook(command.webhook, { ...command.settings, ...command.drawn }, place);
      return { value: null, target };
    case 'webhook.rotate':
      receivers.rotate(command.webhook, command.drawn.secret, place);
      return { value: { secret: command.drawn.secret }, target };
    case 'webhook.remove':
      receivers.remove('webhook', command.webhook, place);
      return { value: null, target };
    case 'webhook.disable':
      receivers.disable('webhook', command.webhook, place);
      return { value: null, target };
    case 'webhook.enable':
      receivers.enable('webhook', command.webhook, command.missed, place);
      return { value: null, target };
    case 'webhook.ping':
    case 'webhook.redeliver':
      receivers.requireSender('webhook', command.webhook);
      return { value: { place: place.name }, target };
    default:
      return setSubscription(command, place, receivers);
  }
}

function setSubscription(
  command: Extract<Administration, { readonly do: `subscription.${string}` }>,
  place: Place,
  receivers: ReceiverWriter,
) {
  const target = administered(command);
  switch (command.do) {
    case 'subscription.add': {
      const id = receivers.addSubscription(command.subscription, place);
      return { value: { id }, target: `subscription ${id}` };
    }
    case 'subscription.change':
      receivers.changeSubscription(command.subscription, command.settings, place);
      return { value: null, target };
    case 'subscription.remove':
      receivers.remove('email', command.subscription, place);
      return { value: null, target };
    case 'subscription.disable':
      receivers.disable('email', command.subscription, place);
      return { value: null, target };
    case 'subscription.enable':
      receivers.enable('email', command.subscription, command.missed, place);
      return { value: null, target };
    case 'subscription.test':
    case 'subscription.redeliver':
      receivers.requireSender('email', command.subscription);
      return { value: { place: place.name }, target };
  }
}

/** Returns what a command is about, also where it is refused. */
export function administered(command: Administration): string {
  if ('rule' in command) return `rule ${command.rule}`;
  if ('webhook' in command) return `webhook ${command.webhook}`;
  if ('subscription' in command && typeof command.subscription === 'string')
    return `subscription ${command.subscription}`;
  if (command.do === 'city.reload') return `city ${command.version.slice(0, 12)}`;
  if (command.do === 'quarantine.discard') return `${command.ids.length} entries of the quarantine`;
  return command.do.split('.')[0]!;
}
