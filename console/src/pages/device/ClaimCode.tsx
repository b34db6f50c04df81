import { Button, CopyButton, Modal } from '@mantine/core';
import { lazy, Suspense } from 'react';
import type { ClaimCode as Code } from '../../api/schema.ts';
import { useWords } from '../../language.ts';

const Qr = lazy(() => import('../../parts/Qr.tsx'));

/** A code with which an installer gets the secret of a device: as text, and as the QR of a page that trades it. */
export function ClaimCode({ code, close }: { readonly code: Code; readonly close: () => void }) {
  const { t, time } = useWords();
  // Behind the #, which no server and no proxy sees.
  const text = `${location.origin}/claim#${new URLSearchParams({ device: code.device, code: code.code })}`;
  return (
    <Modal opened onClose={close} title={t('claim')} closeButtonProps={{ 'aria-label': t('close') }}>
      <div className="stack" id="claim">
        <p>{t('claim.about', { at: time(code.expiresAt) })}</p>
        <Suspense fallback={null}>
          <Qr text={text} label={t('claim')} />
        </Suspense>
        <pre className="code">{code.code}</pre>
        <CopyButton value={text}>
          {({ copied, copy }) => (
            <Button variant="default" onClick={copy}>
              {t(copied ? 'copied' : 'copy')}
            </Button>
          )}
        </CopyButton>
      </div>
    </Modal>
  );
}
