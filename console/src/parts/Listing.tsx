import { useWords } from '../language.ts';
import { Scroll } from './words.tsx';

/** A column: its name (empty: that of buttons), and what it shows of an item. */
export interface Column<T> {
  readonly head: string;
  readonly cell: (item: T) => React.ReactNode;
  readonly num?: boolean;
}

interface Props<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly items: readonly T[];
  readonly keyOf: (item: T) => string;
  /** What is said where there is none. */
  readonly none: string;
}

/** A table in a panel, or a sentence where it would be empty. */
export function Listing<T>({ label, columns, items, keyOf, none }: Props<T>) {
  const { t } = useWords();
  if (items.length === 0) return <p className="panel empty">{none}</p>;
  const classOf = ({ num = false, head }: Column<T>) => (num || head === '' ? 'num' : '');
  return (
    <div className="panel">
      <Scroll label={label}>
        <table className="list" aria-label={label}>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column.head} className={classOf(column)}>
                  {column.head === '' ? <span className="visually-hidden">{t('actions')}</span> : column.head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <tr key={keyOf(item)}>
                {columns.map((column) => (
                  <td key={column.head} className={classOf(column)}>
                    {column.cell(item)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </div>
  );
}
