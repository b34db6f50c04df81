import { Button, Modal } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useWords } from '../language.ts';
import { refusalOf } from '../session.ts';
import { toast } from './toasts.tsx';

/** Does what somebody asked for, says why where it is refused, and fetches the queries of these names again. */
export function useAct(...names: readonly string[]) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (run: () => Promise<unknown>) => run(),
    onError: (error) => toast(refusalOf(error), true),
    onSettled: () => Promise.all(names.map((name) => client.invalidateQueries({ queryKey: [name] }))),
  });
}

interface SmallProps {
  readonly label: string;
  readonly onClick: () => void;
  readonly busy?: boolean;
}

/** A button in a line of a list. */
export function Small({ label, onClick, busy = false }: SmallProps) {
  return (
    <Button variant="default" size="compact-xs" onClick={onClick} loading={busy}>
      {label}
    </Button>
  );
}

interface SureProps {
  readonly label: string;
  /** What it ends, and that it cannot be undone. */
  readonly question: string;
  readonly run: () => void;
}

/** A button for what cannot be undone: it asks first. */
export function Sure({ label, question, run }: SureProps) {
  const { t } = useWords();
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Small label={label} onClick={() => setAsking(true)} />
      {asking && (
        <Modal opened onClose={() => setAsking(false)} title={label} closeButtonProps={{ 'aria-label': t('close') }}>
          <div className="stack">
            <p>{question}</p>
            <div className="bar">
              <Button
                data-autofocus
                onClick={() => {
                  setAsking(false);
                  run();
                }}
              >
                {label}
              </Button>
              <Button variant="default" onClick={() => setAsking(false)}>
                {t('cancel')}
              </Button>
            </div>
          </div>
        </Modal>
      )}
    </>
  );
}
