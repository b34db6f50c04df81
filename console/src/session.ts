import { api, bodyOf, keyStore, onTurnedAway, ProblemError } from './api/client.ts';
import type { Me } from './api/schema.ts';
import { wordsNow } from './language.ts';
import { toast } from './parts/toasts.tsx';
import { createStore, useStore } from './store.ts';
import { refusalText } from './texts/refusals.ts';

/** Who uses the page. `refused`: why somebody was not let in, a reason or a sentence of the server. */
export interface Session {
  readonly state: 'unknown' | 'out' | 'in';
  readonly me: Me | null;
  readonly refused: string;
  /** Whether the page asks for a password: somebody came by a link. */
  readonly choosing: boolean;
}

const OUT: Session = { state: 'out', me: null, refused: '', choosing: false };
const store = createStore<Session>({ ...OUT, state: 'unknown' });
/** Whether a new password is on its way: the server ends the old session before the browser has the new cookie. */
let changing = false;

export const useSession = () => useStore(store);
/** Who is signed in; only pages inside the frame use it. */
export const useMe = (): Me => useStore(store).me!;
export const useMay = (right: Me['rights'][number]): boolean => useMe().rights.includes(right);

/** Whether who is signed in may do something in a department; null: in all, and to what is of none. */
export function useMayIn(): (right: Me['rights'][number], department: string | null) => boolean {
  const me = useMe();
  return (right, department) =>
    me.reach.some((place) => [null, department].includes(place.department) && place.rights.includes(right));
}

const set = (some: Partial<Session>) => store.set((before) => ({ ...before, ...some }));

/** Returns why something was refused, in the language of the page. */
export function refusalOf(error: unknown): string {
  const { language, t } = wordsNow();
  return (error instanceof ProblemError && refusalText(error, language)) || t('failed');
}

/** Uses what the address brings: a key, a one-time link, or why a provider sent the browser back. */
async function arrive(): Promise<void> {
  const { hash, pathname } = location;
  const token = pathname === '/auth/link' ? hash.slice(1) : '';
  const [, refused] = /^#refused=([a-z-]+)$/.exec(hash) ?? [];
  if (hash.startsWith('#key=')) keyStore.set(plainOf(hash.slice(5)));
  if (hash !== '' || pathname === '/auth/link') {
    history.replaceState(null, '', pathname === '/auth/link' ? '/' : pathname + location.search);
  }
  if (refused !== undefined) set({ refused: refusalOf(new ProblemError(403, { reason: refused })) });
  if (token === '') return;
  // Who comes by a link is this person, whatever key the tab had.
  keyStore.set(null);
  try {
    await bodyOf(api.POST('/auth/link', { body: { token } }));
    set({ choosing: true });
  } catch (error) {
    set({ refused: refusalOf(error) });
  }
}

/** What is not percent-encoded is meant as it stands. */
function plainOf(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Finds out who is signed in. */
async function begin(): Promise<void> {
  try {
    const me = await bodyOf(api.GET('/auth/me'));
    set({ state: 'in', me, refused: '', choosing: store.get().choosing && me.person?.hasPassword === false });
  } catch (error) {
    if (!(error instanceof ProblemError)) return set({ state: 'out', refused: wordsNow().t('unreachable') });
    // Only 401 says that the key or the session does not count; a busy server says nothing of it.
    if (error.status !== 401) return set({ state: 'out', me: null, refused: refusalOf(error) });
    if (keyStore.get() !== null) out(wordsNow().t('key-refused'));
    else set({ state: 'out', me: null });
  }
}

/** Starts: must run before anything else reads the address. */
export async function startSession(): Promise<void> {
  onTurnedAway(() => void turnedAway());
  // A link with a key, opened in a tab that is here already.
  addEventListener('hashchange', () => {
    if (!location.hash.startsWith('#key=')) return;
    // The frame goes first, and with it what the one before was shown.
    store.set({ ...OUT, state: 'unknown' });
    void arrive().then(begin);
  });
  await arrive();
  await begin();
}

function out(refused = ''): void {
  keyStore.set(null);
  store.set({ ...OUT, refused });
}

/** Signs out where the key or the session does not count any more; a request may have left with an older cookie. */
async function turnedAway(): Promise<void> {
  if (changing || store.get().state !== 'in') return;
  const key = keyStore.get();
  const { response } = await api.GET('/auth/me');
  if (response.status === 401) out(wordsNow().t(key === null ? 'session-ended' : 'key-refused'));
}

/** Signs in with a password. Throws `ProblemError`. */
export async function signIn(email: string, password: string, code: string): Promise<void> {
  keyStore.set(null);
  await bodyOf(api.POST('/auth/login', { body: { email, password, ...(code === '' ? {} : { code }) } }));
  await begin();
}

export async function enterWithKey(key: string): Promise<void> {
  keyStore.set(key);
  await begin();
}

/** Sets a password. Throws `ProblemError`. */
export async function setPassword(password: string, current?: string): Promise<void> {
  changing = true;
  try {
    await bodyOf(api.POST('/auth/password', { body: { password, ...(current === undefined ? {} : { current }) } }));
  } finally {
    changing = false;
  }
  set({ choosing: false });
  await begin();
}

export const later = () => set({ choosing: false });

export async function signOut(everywhere = false): Promise<void> {
  if (keyStore.get() === null) {
    const done = await (everywhere ? api.DELETE('/auth/sessions') : api.POST('/auth/logout')).catch(() => null);
    const isOut = done !== null && (done.response.ok || done.response.status === 401);
    // Otherwise the page would look signed out, and the next reload would be signed in.
    if (!isOut) return toast(wordsNow().t('failed'), true);
  }
  out();
}

/** Reads again who is signed in, such as after a change of their own account. */
export const refreshMe = begin;
