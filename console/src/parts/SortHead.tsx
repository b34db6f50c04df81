import { useWords } from '../language.ts';

interface Props {
  /** The name of the order, as the server has it. */
  readonly by: string;
  /** The order of now; with `-` the largest first. */
  readonly sort: string | undefined;
  readonly onChange: (sort: string) => void;
  readonly num?: boolean;
  /** The column shows a time since: its largest value is the smallest of the order. */
  readonly inverted?: boolean;
  readonly children: string;
}

/** The head of a column by which the server orders the list: a button that turns the order around. */
export function SortHead({ by, sort, onChange, num = false, inverted = false, children }: Props) {
  const { t } = useWords();
  const isDescending = sort === `-${by}`;
  const isOrder = isDescending || sort === by;
  const isDown = isDescending !== inverted;
  return (
    <th className={num ? 'num' : ''} aria-sort={isOrder ? (isDown ? 'descending' : 'ascending') : 'none'}>
      <button type="button" className="sort" title={t('sort.by')} onClick={() => onChange(sort === by ? `-${by}` : by)}>
        {children}
        <span aria-hidden="true">{isOrder ? (isDown ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </th>
  );
}
