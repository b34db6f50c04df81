import { Toasts } from '../parts/toasts.tsx';
import { useSession } from '../session.ts';
import { Frame } from './Frame.tsx';
import { SignIn } from './SignIn.tsx';

/** What is shown: the pages to whoever is signed in, the way in to anybody else. */
export function App() {
  const { state, choosing } = useSession();
  return (
    <>
      {state === 'in' && !choosing && <Frame />}
      {(state === 'out' || choosing) && <SignIn />}
      <Toasts />
    </>
  );
}
