import { Modal, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { type KeyboardEvent, useState } from 'react';
import { api, bodyOf } from '../api/client.ts';
import { useWords } from '../language.ts';
import { Severity } from '../parts/words.tsx';
import { signOut, useMe } from '../session.ts';
import { PAGES } from './pages.ts';

interface Entry {
  readonly key: string;
  readonly text: string;
  readonly severity?: string;
  readonly go: () => void;
}

/** Finds pages, open tickets and commands by a few letters. */
export function Palette({ close }: { readonly close: () => void }) {
  const { t } = useWords();
  const [asked, setAsked] = useState('');
  const [at, setAt] = useState(0);
  const entries = useEntries()
    .filter(({ text }) => text.toLowerCase().includes(asked.trim().toLowerCase()))
    .slice(0, 30);
  const chosen = Math.min(at, entries.length - 1);
  const run = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    close();
    entry.go();
  };
  function press(event: KeyboardEvent) {
    if (event.key === 'Enter') run(entries[chosen]);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || entries.length === 0) return;
    event.preventDefault();
    setAt((chosen + step + entries.length) % entries.length);
  }
  return (
    <Modal
      opened
      onClose={close}
      title={t('palette')}
      className="palette"
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      <TextInput
        data-autofocus
        aria-label={t('palette')}
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={entries[chosen] && `palette-${chosen}`}
        value={asked}
        onKeyDown={press}
        onChange={(event) => {
          setAsked(event.currentTarget.value);
          setAt(0);
        }}
      />
      <div id="palette-list" role="listbox" aria-label={t('palette')} className="options">
        {entries.map((entry, i) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keys.
          <div
            key={entry.key}
            id={`palette-${i}`}
            role="option"
            tabIndex={-1}
            aria-selected={i === chosen}
            onClick={() => run(entry)}
          >
            {entry.severity !== undefined && <Severity of={entry.severity} />}
            <span>{entry.text}</span>
          </div>
        ))}
      </div>
    </Modal>
  );
}

function useEntries(): Entry[] {
  const { t, language } = useWords();
  const me = useMe();
  const navigate = useNavigate();
  const tickets = useQuery({
    queryKey: ['tickets', 'palette'],
    enabled: me.rights.includes('tickets.read'),
    queryFn: () =>
      bodyOf(
        api.GET('/api/v1/tickets', {
          params: { query: { limit: 200, status: ['open', 'acknowledged', 'assigned', 'in_progress'] } },
        }),
      ),
  });
  const pages = PAGES.filter(({ right }) => right === null || me.rights.includes(right)).map(({ to, text }) => ({
    key: to,
    text: t(text),
    go: () => void navigate({ to }),
  }));
  const open = (tickets.data?.items ?? []).map(({ id, title, titleZh, severity }) => ({
    key: id,
    text: `${language === 'zh' ? titleZh : title} · ${id}`,
    severity,
    go: () => void navigate({ to: '/tickets/$id', params: { id } }),
  }));
  return [...pages, { key: 'out', text: t('sign-out'), go: () => void signOut() }, ...open];
}
