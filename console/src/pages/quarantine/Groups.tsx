import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, bodyOf } from '../../api/client.ts';
import type { QuarantineGroup } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { type Column, Listing } from '../../parts/Listing.tsx';
import { Age } from '../../parts/words.tsx';

const MOST = 20;

interface Props {
  /** Only groups of this reason. */
  readonly reason: QuarantineGroup['reason'] | undefined;
  readonly choose: (device: string, reason: QuarantineGroup['reason']) => void;
}

/**
 * What is refused by device and reason, the most first: one fault of a device is one line. Nothing where there is none.
 */
export function Groups({ reason, choose }: Props) {
  const { t, term, number } = useWords();
  const { data } = useQuery({
    queryKey: ['quarantine-groups'],
    refetchInterval: 30_000,
    queryFn: () => bodyOf(api.GET('/api/v1/quarantine/groups', { params: { query: { limit: 1000 } } })),
  });
  const groups = (data?.items ?? []).filter((one) => reason === undefined || one.reason === reason).slice(0, MOST);
  if (groups.length === 0) return null;
  const columns: readonly Column<QuarantineGroup>[] = [
    { head: t('column.reason'), cell: (one) => term('fault', one.reason) },
    { head: t('column.device'), cell: ({ device }) => device },
    { head: t('quarantine.entries'), num: true, cell: ({ entries }) => number(entries) },
    { head: t('column.received'), num: true, cell: ({ newestAt }) => <Age at={newestAt} /> },
    {
      head: '',
      cell: (one) => (
        <Button variant="default" size="compact-xs" onClick={() => choose(one.device, one.reason)}>
          {t('quarantine.open-group')}
        </Button>
      ),
    },
  ];
  return (
    <Listing
      label={t('quarantine.groups')}
      columns={columns}
      items={groups}
      keyOf={(one) => `${one.reason} ${one.device}`}
      none=""
    />
  );
}
