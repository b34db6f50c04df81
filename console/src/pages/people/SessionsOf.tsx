import { Button, Modal } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, bodyOf } from '../../api/client.ts';
import type { Person } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { Small, useAct } from '../../parts/acting.tsx';
import { Listing } from '../../parts/Listing.tsx';
import { Age } from '../../parts/words.tsx';

const ONE = '/api/v1/users/{id}/sessions/{session}';

/** Where a person is signed in; ends one session, or all of them. */
export function SessionsOf({ person, close }: { readonly person: Person; readonly close: () => void }) {
  const { t, term } = useWords();
  const act = useAct('sessions-of');
  const { id } = person;
  const params = { path: { id } };
  const { data } = useQuery({
    queryKey: ['sessions-of', id],
    queryFn: () => bodyOf(api.GET('/api/v1/users/{id}/sessions', { params })),
  });
  return (
    <Modal
      opened
      onClose={close}
      size="lg"
      title={`${t('person.sessions')}: ${person.name}`}
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      <div className="stack">
        <Listing
          label={t('person.sessions')}
          items={data?.items ?? []}
          keyOf={({ id }) => id}
          none={t('person.no-session')}
          columns={[
            { head: t('sessions.browser'), cell: ({ agent }) => agent || '–' },
            { head: t('person.signs-in'), cell: ({ how }) => term('session', how) },
            { head: t('sessions.address'), cell: ({ address }) => address },
            { head: t('sessions.seen'), cell: ({ seenAt }) => <Age at={seenAt} /> },
            {
              head: '',
              cell: ({ id: session }) => (
                <Small
                  label={t('sessions.end')}
                  onClick={() => act.mutate(() => bodyOf(api.DELETE(ONE, { params: { path: { id, session } } })))}
                />
              ),
            },
          ]}
        />
        <Button
          variant="default"
          disabled={data?.items.length === 0}
          onClick={() => act.mutate(() => bodyOf(api.DELETE('/api/v1/users/{id}/sessions', { params })))}
        >
          {t('sessions.all')}
        </Button>
      </div>
    </Modal>
  );
}
