import { Select, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { FormDialog } from '../../parts/Form.tsx';
import { useMe } from '../../session.ts';
import type { Mail } from '../Notifications.tsx';
import { type Filter, FilterFields, given } from './FilterFields.tsx';
import { PartyChoice } from './PartyChoice.tsx';

const LANGUAGES = ['zh', 'en', 'both'] as const;
const CRITICAL = ['at-once', 'waits'] as const;

/** What of the settings is text in fields. */
interface Fields {
  readonly to: string;
  readonly party: string | null;
  readonly language: Mail['language'];
  readonly gather: string;
  readonly daily: string;
  readonly from: string;
  readonly until: string;
  readonly critical: Mail['critical'];
}

function fieldsOf(mail: Mail | null, email: string, party: string | null): Fields {
  const digest = mail?.digest ?? null;
  const quiet = mail?.quietHours ?? null;
  const hours = quiet !== null && 'from' in quiet ? quiet : { from: '', to: '' };
  return {
    to: mail?.to ?? email,
    party: mail?.party ?? party,
    language: mail?.language ?? 'both',
    gather: digest === null ? 'none' : 'daily' in digest ? 'daily' : digest.every,
    daily: digest !== null && 'daily' in digest ? digest.daily : '07:30',
    from: hours.from,
    until: hours.to,
    critical: mail?.critical ?? 'at-once',
  };
}

/** Calendars are set by the API: the form leaves them as they are. */
function settingsOf({ gather, daily, from, until, ...fields }: Fields, mail: Mail | null) {
  const kept = mail?.quietHours ?? null;
  const hours = from === '' || until === '' ? null : { from, to: until };
  return {
    ...fields,
    party: fields.party ?? '',
    digest: gather === 'none' ? null : gather === 'daily' ? { daily } : { every: gather },
    quietHours: hours === null && kept !== null && !('from' in kept) ? kept : hours,
  };
}

interface Props {
  /** Null: a new one. */
  readonly subscription: Mail | null;
  readonly close: () => void;
}

/** Whom to mail of what: address, language, gathered or at once, quiet hours. */
export function MailForm({ subscription, close }: Props) {
  const { t, term } = useWords();
  const me = useMe();
  const client = useQueryClient();
  const own = me.person === null ? null : `person:${me.person.id}`;
  const [fields, setFields] = useState(() => fieldsOf(subscription, me.person?.email ?? '', own));
  const [filter, setFilter] = useState<Filter>(subscription?.filter ?? {});
  const set = (some: Partial<Fields>) => setFields({ ...fields, ...some });
  async function run() {
    const settings = { ...settingsOf(fields, subscription), filter: given(filter) };
    if (subscription === null) {
      await bodyOf(api.POST('/api/v1/subscriptions', { body: { channel: 'email', ...settings } }));
    } else {
      const params = { path: { id: subscription.id } };
      await bodyOf(api.PATCH('/api/v1/subscriptions/{id}', { params, body: settings }));
    }
    await client.invalidateQueries({ queryKey: ['subscriptions'] });
    close();
  }
  const title = t(subscription === null ? 'mail.new' : 'mail.change');
  return (
    <FormDialog title={title} submit={t('save')} close={close} run={run}>
      <TextInput
        data-autofocus
        type="email"
        label={t('email')}
        required
        value={fields.to}
        onChange={(event) => set({ to: event.currentTarget.value })}
      />
      <PartyChoice required value={fields.party} onChange={(party) => set({ party })} />
      <FilterFields value={filter} onChange={setFilter} />
      <Select
        label={t('language')}
        allowDeselect={false}
        data={LANGUAGES.map((value) => ({ value, label: term('mail-language', value) }))}
        value={fields.language}
        onChange={(chosen) => set({ language: LANGUAGES.find((one) => one === chosen) ?? fields.language })}
      />
      <When fields={fields} set={set} />
      <Select
        label={t('mail.critical')}
        allowDeselect={false}
        data={CRITICAL.map((value) => ({ value, label: term('critical', value) }))}
        value={fields.critical}
        onChange={(chosen) => set({ critical: CRITICAL.find((one) => one === chosen) ?? fields.critical })}
      />
    </FormDialog>
  );
}

function When({ fields, set }: { readonly fields: Fields; readonly set: (some: Partial<Fields>) => void }) {
  const { t } = useWords();
  const spans = [...new Set(['15m', '1h', '4h', ...(/^(none|daily)$/.test(fields.gather) ? [] : [fields.gather])])];
  return (
    <>
      <Select
        label={t('mail.gather')}
        allowDeselect={false}
        data={[
          { value: 'none', label: t('mail.at-once') },
          ...spans.map((value) => ({ value, label: t('mail.every', { d: value }) })),
          { value: 'daily', label: t('mail.once-a-day') },
        ]}
        value={fields.gather}
        onChange={(gather) => set({ gather: gather ?? fields.gather })}
      />
      {fields.gather === 'daily' && (
        <TextInput
          type="time"
          label={t('mail.daily-at')}
          required
          value={fields.daily}
          onChange={(event) => set({ daily: event.currentTarget.value })}
        />
      )}
      <div className="bar">
        <TextInput
          type="time"
          label={t('mail.quiet-from')}
          value={fields.from}
          onChange={(event) => set({ from: event.currentTarget.value })}
        />
        <TextInput
          type="time"
          label={t('mail.quiet-until')}
          value={fields.until}
          onChange={(event) => set({ until: event.currentTarget.value })}
        />
      </div>
    </>
  );
}
