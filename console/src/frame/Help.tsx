import { Kbd, Modal } from '@mantine/core';
import type { TextKey } from '../language.ts';
import { useWords } from '../language.ts';
import { PAGES } from './pages.ts';

const KEYS: readonly (readonly [keys: readonly string[], text: TextKey])[] = [
  [['?'], 'keys.help'],
  [['Ctrl', 'K'], 'keys.palette'],
  [['j'], 'keys.down'],
  [['k'], 'keys.up'],
  [['Enter'], 'keys.open'],
  [['a'], 'action.acknowledge'],
  [['s'], 'action.start'],
  [['r'], 'action.resolve'],
  [['c'], 'action.comment'],
  [['n'], 'keys.new'],
  [['x'], 'keys.choose'],
  [['h', 'l'], 'keys.board'],
  [['H', 'L'], 'keys.carry'],
  [['u'], 'keys.back'],
  [['z'], 'keys.undo'],
];

/** What the keyboard does. */
export function Help({ close }: { readonly close: () => void }) {
  const { t } = useWords();
  const pages = PAGES.map(({ letter, text }) => [['g', letter], text] as const);
  return (
    <Modal opened onClose={close} title={t('help')} closeButtonProps={{ 'aria-label': t('close') }}>
      <div className="keys">
        {[...KEYS, ...pages].map(([keys, text]) => (
          <div key={keys.join()} style={{ display: 'contents' }}>
            <span>
              {keys.map((key) => (
                <Kbd key={key} mr={4}>
                  {key}
                </Kbd>
              ))}
            </span>
            <span>{t(text)}</span>
          </div>
        ))}
      </div>
    </Modal>
  );
}
