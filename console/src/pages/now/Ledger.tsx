import type { Ledger as Shown } from '../../api/schema.ts';
import { type TextKey, useWords } from '../../language.ts';

/** Where every message and reading is: both equations hold at every moment. */
export function Ledger({ ledger }: { readonly ledger: Shown }) {
  const { t } = useWords();
  const { received, decoded, quarantined, pending } = ledger.messages;
  const { replaced, stored, ...readings } = ledger.readings;
  return (
    <section className="panel stack" id="ledger" aria-labelledby="ledger-title">
      <h2 id="ledger-title">{t('ledger')}</h2>
      <Equation name={t('messages')} total={received} parts={{ decoded, quarantined, pending }} />
      <Equation
        name={t('readings')}
        total={readings.received}
        parts={{ stored, duplicate: readings.duplicate, quarantined: readings.quarantined }}
        // Readings that took the place of an earlier value are among the stored ones.
        note={replaced === 0 ? '' : t('ledger.replaced', { n: replaced })}
      />
    </section>
  );
}

interface Parts {
  readonly name: string;
  readonly total: number;
  readonly parts: Readonly<Record<string, number>>;
  readonly note?: string;
}

function Equation({ name, total, parts, note = '' }: Parts) {
  const { t, number } = useWords();
  const isBalanced = Object.values(parts).reduce((sum, part) => sum + part, 0) === total;
  return (
    <div className="equation">
      <span>
        <small>{`${name} · ${t('ledger.received')}`}</small>
        <b>{number(total)}</b>
      </span>
      {Object.entries(parts).map(([part, value], i) => (
        <span key={part}>
          {i === 0 ? '= ' : '+ '}
          <small>{t(`ledger.${part}` as TextKey)}</small>
          <b>{number(value)}</b>
        </span>
      ))}
      <span className={isBalanced ? 'good' : 'late'}>{t(isBalanced ? 'ledger.balanced' : 'ledger.unbalanced')}</span>
      {note !== '' && <span className="dim">{note}</span>}
    </div>
  );
}
