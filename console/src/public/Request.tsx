import { useEffect, useRef, useState } from 'react';
import type { RequestPage } from '../api/schema.ts';
import { ask, type Loaded, Refused } from './data.ts';
import { useSending } from './sending.tsx';
import { useWords } from './words.ts';

const AGAIN_MS = 10_000;

/** One request, for the citizen who has its link: what happened, and what they may say. */
export function Request({ token }: { readonly token: string }) {
  const { t } = useWords();
  const address = `/public/requests/${encodeURIComponent(token)}`;
  const [page, setPage] = useState<Loaded<RequestPage>>({ state: 'loading' });
  /** Counts what was asked and said: a response that something came after is an older page. */
  const turn = useRef(0);
  useEffect(() => {
    let gone = false;
    const load = () => {
      const mine = ++turn.current;
      const isOld = () => gone || mine !== turn.current;
      return ask<RequestPage>(address).then(
        (data) => isOld() || setPage({ state: 'there', data }),
        (error: unknown) =>
          isOld() ||
          setPage((before) => (before.state === 'there' && !isMissing(error) ? before : { state: 'failed' })),
      );
    };
    void load();
    const timer = setInterval(() => void load(), AGAIN_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [address]);
  if (page.state === 'loading') return null;
  if (page.state === 'failed') return <p className="panel empty">{t('request.missing')}</p>;
  const said = (data: RequestPage) => {
    turn.current++;
    setPage({ state: 'there', data });
  };
  return (
    <>
      <Facts page={page.data} />
      <Updates page={page.data} />
      <Sayings page={page.data} address={address} said={said} />
    </>
  );
}

const isMissing = (error: unknown) => error instanceof Refused && error.status === 404;

function Facts({ page }: { readonly page: RequestPage }) {
  const { t, term, language, time } = useWords();
  return (
    <section className="panel stack" aria-labelledby="request-title">
      <h1 id="request-title">{`${t('request.title')}: ${page.service.title[language]}`}</h1>
      <p id="status" role="status">
        <b>{term('status', page.status)}</b>
      </p>
      {page.description !== null && <p className="lines">{page.description}</p>}
      <dl className="facts">
        <dt>{t('request.department')}</dt>
        <dd>{page.department[language]}</dd>
        <dt>{t('request.requested')}</dt>
        <dd>{time(page.requestedAt)}</dd>
        {page.isOpen && (
          <>
            <dt>{t('request.expected')}</dt>
            <dd>{time(page.expectedAt)}</dd>
          </>
        )}
        {page.sameAs !== null && (
          <>
            <dt>{t('request.same')}</dt>
            <dd>{page.sameAs}</dd>
          </>
        )}
        {page.address !== null && (
          <>
            <dt>{t('report.address')}</dt>
            <dd>{page.address}</dd>
          </>
        )}
      </dl>
      <Photos media={page.media} />
      <p className="dim">{t('request.keep')}</p>
    </section>
  );
}

function Photos({ media }: { readonly media: readonly string[] }) {
  const { t } = useWords();
  return (
    <>
      {media
        .filter((url) => url.startsWith('/'))
        .map((url) => (
          <img key={url} className="photo" src={url} alt={t('request.photo')} />
        ))}
    </>
  );
}

function Updates({ page: { updates } }: { readonly page: RequestPage }) {
  const { t, term, time } = useWords();
  return (
    <section className="panel" aria-labelledby="updates">
      <h2 id="updates">{t('request.updates')}</h2>
      <ol className="timeline">
        {updates.map(({ at, action, text, media }) => (
          <li key={`${at} ${action}`}>
            <b>{term('update', action)}</b> <span className="dim">{time(at)}</span>
            {text !== null && <p className="lines">{text}</p>}
            <Photos media={media} />
          </li>
        ))}
      </ol>
    </section>
  );
}

interface SayingsProps {
  readonly page: RequestPage;
  readonly address: string;
  readonly said: (page: RequestPage) => void;
}

/** What the citizen may say now. */
function Sayings({ page, address, said }: SayingsProps) {
  const { t, time } = useWords();
  const say = async (what: string, body: object) => said(await post<RequestPage>(`${address}/${what}`, body));
  return (
    <>
      {page.canRate && <Rate rate={(stars, comment) => say('rate', { stars, comment })} />}
      {page.rating !== null && <p className="panel">{t('rate.given', { n: page.rating.stars })}</p>}
      {page.notFixedUntil !== null && (
        <Saying
          title={t('not-fixed')}
          about={t('not-fixed.about', { at: time(page.notFixedUntil) })}
          label={t('not-fixed.text')}
          send={t('not-fixed')}
          run={(text) => say('not-fixed', { text })}
        />
      )}
      <Saying
        title={t('comment')}
        about=""
        label={t('comment.text')}
        send={t('comment.send')}
        run={(text) => say('comment', { text })}
      />
      {page.follow.length > 0 && <Follow channels={page.follow} address={address} />}
    </>
  );
}

const post = <T,>(address: string, body: object) =>
  ask<T>(address, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });

const textOf = (form: FormData, name: string) => String(form.get(name) ?? '');

interface SayingProps {
  readonly title: string;
  readonly about: string;
  readonly label: string;
  readonly send: string;
  readonly run: (text: string) => Promise<void>;
}

function Saying({ title, about, label, send: name, run }: SayingProps) {
  const { send, busy, alert } = useSending((form) => run(textOf(form, 'text')));
  return (
    <form className="panel stack" onSubmit={send} aria-label={title}>
      <h2>{title}</h2>
      {about !== '' && <p className="dim">{about}</p>}
      <label>
        {label}
        <textarea name="text" required maxLength={2_000} rows={3} />
      </label>
      {alert}
      <button type="submit" disabled={busy}>
        {name}
      </button>
    </form>
  );
}

const STARS = [1, 2, 3, 4, 5] as const;

function Rate({ rate }: { readonly rate: (stars: number, comment: string) => Promise<void> }) {
  const { t } = useWords();
  const { send, busy, alert } = useSending((form) => rate(Number(form.get('stars')), textOf(form, 'comment')));
  return (
    <form className="panel stack" onSubmit={send} aria-label={t('rate')}>
      <fieldset>
        <legend>{t('rate')}</legend>
        {STARS.map((n) => (
          <label key={n} className="star">
            <input type="radio" name="stars" value={n} required />
            <span aria-hidden="true">{'★'.repeat(n)}</span>
            <span className="visually-hidden">{t('rate.stars', { n })}</span>
          </label>
        ))}
      </fieldset>
      <label>
        {t('rate.comment')}
        <textarea name="comment" maxLength={2_000} rows={2} />
      </label>
      {alert}
      <button type="submit" disabled={busy}>
        {t('rate.send')}
      </button>
    </form>
  );
}

interface FollowProps {
  readonly channels: RequestPage['follow'];
  readonly address: string;
}

function Follow({ channels, address }: FollowProps) {
  const { t, term, language } = useWords();
  const [sent, setSent] = useState(false);
  const [channel, setChannel] = useState(channels[0]);
  const { send, busy, alert } = useSending(async (form) => {
    await post(`${address}/follow`, { channel, to: textOf(form, 'to'), language });
    setSent(true);
  });
  return (
    <form className="panel stack" onSubmit={send} aria-label={t('follow')}>
      <h2>{t('follow')}</h2>
      <div className="row">
        <select
          aria-label={t('follow')}
          value={channel}
          onChange={({ currentTarget: { value } }) => setChannel(channels.find((one) => one === value))}
        >
          {channels.map((one) => (
            <option key={one} value={one}>
              {term('follow', one)}
            </option>
          ))}
        </select>
        <label className="wide">
          {t('follow.to')}
          <input name="to" type={channel === 'email' ? 'email' : 'tel'} required maxLength={254} />
        </label>
      </div>
      <p className="dim">{t('follow.about')}</p>
      {alert}
      {sent && <p role="status">{t('follow.sent')}</p>}
      <button type="submit" disabled={busy}>
        {t('follow.send')}
      </button>
    </form>
  );
}
