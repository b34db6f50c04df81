import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouteComponent,
} from '@tanstack/react-router';
import { App } from './frame/App.tsx';
import { Missing } from './frame/Missing.tsx';
import { auditFilterIn } from './pages/audit/filter.ts';
import { Devices, deviceFilterIn } from './pages/Devices.tsx';
import { Now } from './pages/Now.tsx';
import { oversightFilterIn } from './pages/oversight/filter.ts';
import { Quarantine, quarantineFilterIn } from './pages/Quarantine.tsx';
import { Silences, silenceStartIn } from './pages/Silences.tsx';
import { Ticket } from './pages/Ticket.tsx';
import { filtersIn, Tickets } from './pages/Tickets.tsx';

const root = createRootRoute({ component: App, notFoundComponent: Missing });
const getParentRoute = () => root;
const to = <const P extends string>(path: P, component: RouteComponent) =>
  createRoute({ getParentRoute, path, component });

const tree = root.addChildren([
  to('/', Now),
  createRoute({ getParentRoute, path: '/tickets', component: Tickets, validateSearch: filtersIn }),
  to('/tickets/$id', Ticket),
  createRoute({ getParentRoute, path: '/devices', component: Devices, validateSearch: deviceFilterIn }),
  to(
    '/devices/$id',
    lazyRouteComponent(() => import('./pages/Device.tsx'), 'Device'),
  ),
  createRoute({ getParentRoute, path: '/quarantine', component: Quarantine, validateSearch: quarantineFilterIn }),
  createRoute({ getParentRoute, path: '/silences', component: Silences, validateSearch: silenceStartIn }),
  to(
    '/rules',
    lazyRouteComponent(() => import('./pages/Rules.tsx'), 'Rules'),
  ),
  to(
    '/rules/$id',
    lazyRouteComponent(() => import('./pages/Rule.tsx'), 'Rule'),
  ),
  createRoute({
    getParentRoute,
    path: '/oversight',
    validateSearch: oversightFilterIn,
    component: lazyRouteComponent(() => import('./pages/Oversight.tsx'), 'Oversight'),
  }),
  to(
    '/notifications',
    lazyRouteComponent(() => import('./pages/Notifications.tsx'), 'Notifications'),
  ),
  to(
    '/notifications/$id',
    lazyRouteComponent(() => import('./pages/Notification.tsx'), 'Notification'),
  ),
  to(
    '/webhooks',
    lazyRouteComponent(() => import('./pages/Webhooks.tsx'), 'Webhooks'),
  ),
  to(
    '/webhooks/$id',
    lazyRouteComponent(() => import('./pages/Webhook.tsx'), 'Webhook'),
  ),
  to(
    '/formats',
    lazyRouteComponent(() => import('./pages/Formats.tsx'), 'Formats'),
  ),
  to(
    '/keys',
    lazyRouteComponent(() => import('./pages/Keys.tsx'), 'Keys'),
  ),
  to(
    '/people',
    lazyRouteComponent(() => import('./pages/People.tsx'), 'People'),
  ),
  createRoute({
    getParentRoute,
    path: '/audit',
    validateSearch: auditFilterIn,
    component: lazyRouteComponent(() => import('./pages/Audit.tsx'), 'Audit'),
  }),
  to(
    '/system',
    lazyRouteComponent(() => import('./pages/System.tsx'), 'System'),
  ),
  to(
    '/me',
    lazyRouteComponent(() => import('./pages/Me.tsx'), 'Me'),
  ),
]);

/** Every page by its address. */
export function createPages() {
  return createRouter({ routeTree: tree, defaultPreload: false, scrollRestoration: true });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createPages>;
  }
}
