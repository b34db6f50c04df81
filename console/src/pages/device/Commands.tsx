import { Button, Select, Textarea, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { api, bodyOf, inFull } from '../../api/client.ts';
import { useCity } from '../../api/queries.ts';
import type { City, Device, DeviceCommand } from '../../api/schema.ts';
import { useWords } from '../../language.ts';
import { refusalOf, useMay } from '../../session.ts';

type Commands = City['profiles'][number]['commands'];

/** What is sent to a device: commands and what became of them, and the state that it should be in. */
export function Commands({ device }: { readonly device: Pick<Device, 'id' | 'profile'> }) {
  const { t } = useWords();
  const city = useCity();
  const may = useMay('commands.write');
  const commands = city.data?.profiles.find(({ id }) => id === device.profile)?.commands ?? [];
  const sent = useQuery({
    queryKey: ['commands', device.id],
    refetchInterval: 10_000,
    queryFn: () =>
      bodyOf(api.GET('/api/v1/devices/{id}/commands', { params: { path: { id: device.id }, query: { limit: 10 } } })),
  });
  const items = sent.data?.items ?? [];
  return (
    <section className="panel stack" aria-labelledby="commands">
      <h2 id="commands">{t('commands')}</h2>
      {may && commands.length > 0 && <Send key={device.id} device={device.id} commands={commands} />}
      {items.length === 0 && <p className="dim">{t('commands.none')}</p>}
      {items.map((command) => (
        <Sent key={command.id} command={command} commands={commands} />
      ))}
      <Desired device={device.id} />
    </section>
  );
}

/** What somebody typed, as JSON has it: a number, true or false, or a text. */
function parameterOf(text: string): number | boolean | string {
  if (text === 'true' || text === 'false') return text === 'true';
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}

function Send({ device, commands }: { readonly device: string; readonly commands: Commands }) {
  const { t, language } = useWords();
  const client = useQueryClient();
  const [chosen, setChosen] = useState(commands[0]!.id);
  const [typed, setTyped] = useState<Readonly<Record<string, string>>>({});
  const { parameters = [] } = commands.find(({ id }) => id === chosen) ?? {};
  const send = useMutation({
    mutationFn: () => {
      const given = parameters.flatMap((name) => (typed[name] ? [[name, parameterOf(typed[name])] as const] : []));
      const body = { command: chosen, parameters: Object.fromEntries(given) };
      return bodyOf(api.POST('/api/v1/devices/{id}/commands', { params: { path: { id: device } }, body }));
    },
    onSuccess: () => client.invalidateQueries({ queryKey: ['commands', device] }),
  });
  return (
    <form
      className="stack"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        send.mutate();
      }}
    >
      <div className="bar fields">
        <Select
          label={t('command')}
          allowDeselect={false}
          data={commands.map(({ id, title }) => ({ value: id, label: title[language] }))}
          value={chosen}
          onChange={(value) => setChosen(value ?? chosen)}
        />
        {parameters.map((name) => (
          <TextInput
            key={name}
            label={name}
            value={typed[name] ?? ''}
            onChange={(event) => setTyped({ ...typed, [name]: event.currentTarget.value })}
          />
        ))}
        <Button type="submit" loading={send.isPending}>
          {t('command.send')}
        </Button>
      </div>
      {send.error !== null && (
        <p role="alert" className="late">
          {refusalOf(send.error)}
        </p>
      )}
    </form>
  );
}

function Sent({ command, commands }: { readonly command: DeviceCommand; readonly commands: Commands }) {
  const { t, language, time } = useWords();
  const client = useQueryClient();
  const may = useMay('commands.write');
  const { id, device, state, message, parameters, createdAt } = command;
  const cancel = useMutation({
    mutationFn: () =>
      bodyOf(api.DELETE('/api/v1/devices/{id}/commands/{command}', { params: { path: { id: device, command: id } } })),
    onSettled: () => client.invalidateQueries({ queryKey: ['commands', device] }),
  });
  const title = commands.find((one) => one.id === command.command)?.title[language] ?? command.command;
  const values = Object.entries(parameters).map(([name, value]) => `${name} ${value}`);
  return (
    <div className="bar" data-command={id}>
      <b>{[title, ...values].join(' · ')}</b>
      <span className={state === 'failed' || state === 'expired' ? 'pill late' : 'pill'}>{t(`command.${state}`)}</span>
      {message !== null && <span>{message}</span>}
      <time className="dim push" dateTime={createdAt}>
        {time(createdAt)}
      </time>
      {may && (state === 'queued' || state === 'sent') && (
        <Button variant="default" size="compact-xs" loading={cancel.isPending} onClick={() => cancel.mutate()}>
          {t('cancel')}
        </Button>
      )}
    </div>
  );
}

/** The state that a device should be in, what it says that it is in, and where they differ. */
function Desired({ device }: { readonly device: string }) {
  const { t, time } = useWords();
  const may = useMay('commands.write');
  const path = { id: device };
  const [text, setText] = useState<string | null>(null);
  // Of the state that is being changed: what others save meanwhile is a conflict, not overwritten.
  const [base, setBase] = useState('');
  const { data, refetch } = useQuery({
    queryKey: ['desired', device],
    refetchInterval: 10_000,
    queryFn: () => inFull(api.GET('/api/v1/devices/{id}/desired', { params: { path } })),
  });
  const save = useMutation({
    mutationFn: async () => {
      const body = JSON.parse(text ?? '{}') as Record<string, unknown>;
      const header = { 'If-Match': base };
      await bodyOf(api.PUT('/api/v1/devices/{id}/desired', { params: { path, header }, body }));
    },
    onSuccess: () => setText(null),
    onSettled: () => refetch(),
  });
  if (data === undefined) return null;
  const { desired, reported, reportedAt, drift } = data.data;
  if (!may && desired === null && reported === null) return null;
  const isJson = !(save.error instanceof SyntaxError);
  return (
    <div className="stack" id="desired">
      {drift.length > 0 && <p className="late">{t('desired.drift', { what: drift.join(', ') })}</p>}
      {desired !== null && drift.length === 0 && <p className="good">{t('desired.same')}</p>}
      {reported !== null && (
        <details>
          <summary>{t('desired.reported', { at: time(reportedAt!) })}</summary>
          <pre className="code">{JSON.stringify(reported, null, 2)}</pre>
        </details>
      )}
      {may && (
        <>
          <Textarea
            label={t('desired')}
            autosize
            minRows={2}
            spellCheck={false}
            classNames={{ input: 'mono' }}
            value={text ?? (desired === null ? '' : JSON.stringify(desired, null, 2))}
            error={isJson ? undefined : t('trial.json')}
            onChange={(event) => {
              if (text === null) setBase(data.etag);
              setText(event.currentTarget.value);
            }}
          />
          {save.error !== null && isJson && (
            <p role="alert" className="late">
              {refusalOf(save.error)}
            </p>
          )}
          {text !== null && (
            <div className="bar">
              <Button variant="default" loading={save.isPending} onClick={() => save.mutate()}>
                {t('save')}
              </Button>
              <Button
                variant="subtle"
                onClick={() => {
                  save.reset();
                  setText(null);
                }}
              >
                {t('cancel')}
              </Button>
            </div>
          )}
        </>
      )}
    </div>
  );
}
