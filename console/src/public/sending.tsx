import { type FormEvent, useState } from 'react';
import { refusalText } from '../texts/refusals.ts';
import { Refused } from './data.ts';
import { useWords } from './words.ts';

/**
 * Sends a form: `run` gets what is in it, and throws `Refused`. `alert` says why it was refused, in the language of the
 * page; what was typed stays.
 */
export function useSending(run: (form: FormData) => Promise<void>) {
  const { t, language } = useWords();
  const [failure, setFailure] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  async function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    setFailure(null);
    setBusy(true);
    try {
      await run(new FormData(form));
      form.reset();
    } catch (error) {
      setFailure(error);
    }
    setBusy(false);
  }
  const texts = failure instanceof Refused ? failure.refusals.map((one) => refusalText(one, language)) : [];
  const alert = failure !== null && (
    <p role="alert" className="late lines">
      {texts.filter(Boolean).join('\n') || t('failed')}
    </p>
  );
  return { send, busy, alert };
}
