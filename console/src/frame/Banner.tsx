import { useCluster } from '../api/cluster.ts';
import { useReady } from '../api/queries.ts';
import { useWords } from '../language.ts';
import { troubleOf } from '../parts/cluster.ts';

/** Says what does not work, or what an operator should know; nothing where all is well. */
export function Banner() {
  const { t, duration } = useWords();
  const cluster = useCluster();
  const { data, isError } = useReady();
  if (isError) return <Box>{t('unreachable')}</Box>;
  if (data === undefined) return null;
  const behind = (['rules', 'history'] as const).filter((part) => data.parts[part].behindBlocks > BEHIND);
  const lines = [
    ...[...data.reasons, ...data.notes].map((line) => {
      const [, part, why] = /^(rules|history|log): (.+)$/.exec(line) ?? [];
      return part === undefined ? line : t(`trouble.${part as 'rules' | 'history' | 'log'}`, { why: why! });
    }),
    ...(cluster?.nodes ?? []).flatMap((one) => {
      const trouble = troubleOf(one, cluster!);
      return trouble === null ? [] : `${one.node}: ${t(`cluster.${trouble}`, { d: duration(one.ageMs) })}`;
    }),
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
