import type { Me } from '../api/schema.ts';
import type { TextKey } from '../language.ts';
import type { IconName } from '../parts/icons.tsx';

/** A page of the navigation. `g` and `letter` lead there. */
export interface PageLink {
  readonly to:
    | '/'
    | '/tickets'
    | '/devices'
    | '/rules'
    | '/quarantine'
    | '/silences'
    | '/oversight'
    | '/notifications'
    | '/webhooks'
    | '/formats'
    | '/keys'
    | '/people'
    | '/audit'
    | '/system'
    | '/me';
  readonly text: TextKey;
  readonly icon: IconName;
  readonly letter: string;
  readonly right: Me['rights'][number] | null;
}

/** The navigation, in its order. Whoever lacks the right does not see the page. */
export const PAGES: readonly PageLink[] = [
  { to: '/', text: 'nav.now', icon: 'now', letter: 'n', right: null },
  { to: '/tickets', text: 'nav.tickets', icon: 'tickets', letter: 't', right: 'tickets.read' },
  { to: '/devices', text: 'nav.devices', icon: 'devices', letter: 'd', right: 'devices.read' },
  { to: '/rules', text: 'nav.rules', icon: 'rules', letter: 'r', right: 'rules.read' },
  { to: '/quarantine', text: 'nav.quarantine', icon: 'quarantine', letter: 'q', right: 'quarantine.read' },
  { to: '/silences', text: 'nav.silences', icon: 'silences', letter: 'i', right: 'silences.read' },
  { to: '/oversight', text: 'nav.oversight', icon: 'oversight', letter: 'o', right: 'oversight.read' },
  { to: '/notifications', text: 'nav.notifications', icon: 'notifications', letter: 'b', right: 'subscriptions.read' },
  { to: '/webhooks', text: 'nav.webhooks', icon: 'webhooks', letter: 'w', right: 'webhooks.read' },
  { to: '/formats', text: 'nav.formats', icon: 'formats', letter: 'f', right: 'devices.read' },
  { to: '/keys', text: 'nav.keys', icon: 'keys', letter: 'k', right: 'keys.read' },
  { to: '/people', text: 'nav.people', icon: 'people', letter: 'p', right: 'users.read' },
  { to: '/audit', text: 'nav.audit', icon: 'audit', letter: 'a', right: 'audit.read' },
  { to: '/system', text: 'nav.system', icon: 'system', letter: 's', right: null },
  { to: '/me', text: 'nav.me', icon: 'me', letter: 'm', right: null },
];
