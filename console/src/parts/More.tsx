import { Button } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { useWords } from '../language.ts';

interface Props {
  readonly list: {
    readonly isFetchingNextPage: boolean;
    readonly isFetchNextPageError: boolean;
    fetchNextPage(): Promise<unknown>;
  };
}

/** Loads the next page of a list when it comes into view, or by a button; after a refusal by the button only. */
export function More({ list }: Props) {
  const { t } = useWords();
  const end = useRef<HTMLDivElement>(null);
  const { isFetchingNextPage: busy, isFetchNextPageError: failed } = list;
  const load = () => void list.fetchNextPage();
  useEffect(() => {
    if (busy || failed) return undefined;
    const watch = new IntersectionObserver((seen) => seen.some(({ isIntersecting }) => isIntersecting) && load());
    watch.observe(end.current!);
    return () => watch.disconnect();
  });
  return (
    <div ref={end} className="bar">
      <Button variant="default" onClick={load} loading={busy}>
        {t('more')}
      </Button>
    </div>
  );
}
