import { useState } from 'react';
import { ask } from './data.ts';
import { useSending } from './sending.tsx';
import { useWords } from './words.ts';

/** What the code was traded for. */
interface Claimed {
  readonly id: string;
  readonly secret: string;
}

/** What the address brings: `#device=bin-1&code=…`. It is read once, and taken out of the address and the history. */
const BROUGHT = new URLSearchParams(location.pathname === '/claim' ? location.hash.slice(1) : '');
if (BROUGHT.size > 0) history.replaceState(null, '', location.pathname);

/** For the phone of an installer: trades a claim code, which a QR brings or somebody types, for the device's secret. */
export function Claim() {
  const { t } = useWords();
  const [device, setDevice] = useState(BROUGHT.get('device') ?? '');
  const [code, setCode] = useState(BROUGHT.get('code') ?? '');
  const [claimed, setClaimed] = useState<Claimed | null>(null);
  const { send, busy, alert } = useSending(async () => {
    const body = JSON.stringify({ device: device.trim(), code: code.trim() });
    setClaimed(await ask<Claimed>('/claim', { method: 'POST', body, headers: { 'content-type': 'application/json' } }));
  });
  if (claimed !== null) return <Secret {...claimed} />;
  return (
    <form className="panel stack" onSubmit={send} aria-labelledby="claim-title">
      <h1 id="claim-title">{t('claim')}</h1>
      <p>{t('claim.about')}</p>
      <label>
        {t('claim.device')}
        <input required maxLength={200} value={device} onChange={(event) => setDevice(event.currentTarget.value)} />
      </label>
      <label>
        {t('claim.code')}
        <input
          required
          maxLength={100}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
      </label>
      {alert}
      <button type="submit" disabled={busy}>
        {t('claim.trade')}
      </button>
    </form>
  );
}

function Secret({ id, secret }: Claimed) {
  const { t } = useWords();
  const [copied, setCopied] = useState(false);
  // Pages without encryption have no clipboard: the secret can be marked.
  const copy = () => void navigator.clipboard?.writeText(secret).then(() => setCopied(true));
  return (
    <section className="panel stack" aria-labelledby="claim-title">
      <h1 id="claim-title">{t('claim.secret', { device: id })}</h1>
      <p>{t('claim.once', { device: id })}</p>
      <p role="status" className="code">
        {secret}
      </p>
      <button type="button" onClick={copy}>
        {t(copied ? 'claim.copied' : 'claim.copy')}
      </button>
    </section>
  );
}
