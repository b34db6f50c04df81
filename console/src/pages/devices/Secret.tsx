import { Button, CopyButton } from '@mantine/core';
import { useWords } from '../../language.ts';

/** A new secret, which is shown once, and how the device uses it. */
export function Secret({ device, secret }: { readonly device: string; readonly secret: string }) {
  const { t } = useWords();
  const sample = `mosquitto_pub -h ${location.hostname} -q 1 -i ${device} -u ${device} -P '${secret}' \\
  -t devices/${device}/readings -m '{"metrics": {"battery": 90}}'`;
  return (
    <div className="stack" id="secret">
      <p>{t('secret.once')}</p>
      <pre className="code">{secret}</pre>
      <CopyButton value={secret}>
        {({ copied, copy }) => (
          <Button variant="default" onClick={copy}>
            {t(copied ? 'copied' : 'copy')}
          </Button>
        )}
      </CopyButton>
      <p className="dim">{t('secret.sample')}</p>
      <pre className="code">{sample}</pre>
    </div>
  );
}
