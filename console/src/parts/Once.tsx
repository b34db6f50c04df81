import { Button, CopyButton, Modal } from '@mantine/core';
import { useWords } from '../language.ts';

interface Props {
  readonly title: string;
  readonly value: string;
  /** What it is, and what to do with it. */
  readonly about: string;
  readonly close: () => void;
}

/** A secret or a link that the server shows once. */
export function Once({ title, value, about, close }: Props) {
  const { t } = useWords();
  return (
    <Modal
      opened
      onClose={close}
      closeOnClickOutside={false}
      title={title}
      closeButtonProps={{ 'aria-label': t('close') }}
    >
      <div className="stack" id="once">
        <p>{about}</p>
        <pre className="code">{value}</pre>
        <CopyButton value={value}>
          {({ copied, copy }) => (
            <Button data-autofocus variant="default" onClick={copy}>
              {t(copied ? 'copied' : 'copy')}
            </Button>
          )}
        </CopyButton>
      </div>
    </Modal>
  );
}
