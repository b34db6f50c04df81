import { Button, Modal } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useWords } from '../language.ts';
import { refusalOf } from '../session.ts';

interface Props {
  readonly title: string;
  readonly submit: string;
  readonly close: () => void;
  /** Sends what was typed; what it throws is shown, and the fields keep their contents. */
  readonly run: () => Promise<void>;
  readonly children: React.ReactNode;
}

/** A dialog with fields and one button. */
export function FormDialog({ title, submit, close, run, children }: Props) {
  const { t } = useWords();
  const [refused, setRefused] = useState('');
  const [busy, setBusy] = useState(false);
  async function send(event: FormEvent) {
    event.preventDefault();
    setRefused('');
    setBusy(true);
    await run().catch((error: unknown) => setRefused(refusalOf(error)));
    setBusy(false);
  }
  return (
    // What was typed is not lost by a click beside it, nor what the server shows once while it is on its way.
    <Modal
      opened
      onClose={() => busy || close()}
      closeOnClickOutside={false}
      title={title}
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      <form className="stack" onSubmit={send}>
        {children}
        {refused !== '' && (
          <p role="alert" className="late">
            {refused}
          </p>
        )}
        <Button type="submit" loading={busy}>
          {submit}
        </Button>
      </form>
    </Modal>
  );
}
