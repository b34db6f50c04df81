import { useReady } from '../api/queries.ts';
import { useWords } from '../language.ts';

/** Says what does not work, or what an operator should know; nothing where all is well. */
export function Banner() {
  const { t } = useWords();
  const { data, isError } = useReady();
  if (isError) return <Box>{t('unreachable')}</Box>;
  if (data === undefined) return null;
  const behind = (['rules', 'history'] as const).filter((part) => data.parts[part].behindBlocks > BEHIND);
  const lines = [
    ...data.reasons,
    ...data.notes,
    ...behind.map((part) => t('behind', { part: t(`part.${part}`), n: data.parts[part].behindBlocks })),
  ];
  if (lines.length === 0) return null;
  return (
    <Box>
      {lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
    </Box>
  );
}

/** A few blocks are on their way at any moment. */
const BEHIND = 200;

function Box({ children }: { readonly children: React.ReactNode }) {
  return (
    <div className="banner" role="alert" id="banner">
      {children}
    </div>
  );
}
