export { type Accounts, createAccounts } from './accounts.ts';
export { createTrustedProxies, sourceOf, type TrustedProxies } from './address.ts';
export { type Rate, TokenBucket } from './bucket.ts';
export { createGate, type Gate, type GateLimits } from './gate.ts';
export { Logins, type RefusedLogin, shown } from './logins.ts';
export {
  COUNTED_HERE,
  type CountedFailures,
  type Counter,
  type Counters,
  countedTogether,
  FailuresSchema,
  SharedFailures,
} from './shared-failures.ts';
export { createTurns, type TurnLimits, type Turns } from './turns.ts';
