import { ActionIcon, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useCity } from '../api/queries.ts';
import { useWords } from '../language.ts';
import { follow, live } from '../live.ts';
import { Icon } from '../parts/icons.tsx';
import { signOut, useMay, useMe } from '../session.ts';
import { useStore } from '../store.ts';
import { Banner } from './Banner.tsx';
import { Help } from './Help.tsx';
import { useFrameKeys } from './keys.ts';
import { LanguageButton } from './LanguageButton.tsx';
import { Palette } from './Palette.tsx';
import { PAGES } from './pages.ts';

type Open = 'help' | 'palette' | null;

/** What stands around every page: where one is, who one is, whether it is live, and what the keyboard does. */
export function Frame() {
  const client = useQueryClient();
  const { t } = useWords();
  const me = useMe();
  const mayFollow = useMay('events.read');
  const [menu, setMenu] = useState(false);
  const [open, setOpen] = useState<Open>(null);
  const path = useRouterState({ select: ({ location }) => location.pathname });
  useFrameKeys(setOpen);
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever signs in next sees other things.
  useEffect(() => {
    const stop = mayFollow ? follow(client) : null;
    return () => {
      stop?.();
      client.clear();
    };
  }, [client, me.id, mayFollow]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page shuts the menu.
  useEffect(() => setMenu(false), [path]);
  return (
    <div className="frame">
      <a className="skip" href="#page">
        {t('skip')}
      </a>
      <Top menu={menu} setMenu={setMenu} setOpen={setOpen} />
      <Side menu={menu} />
      <main id="page" tabIndex={-1}>
        <div className="page">
          <Banner />
          <Outlet />
        </div>
      </main>
      {open === 'help' && <Help close={() => setOpen(null)} />}
      {open === 'palette' && <Palette close={() => setOpen(null)} />}
    </div>
  );
}

interface TopProps {
  readonly menu: boolean;
  readonly setMenu: (menu: boolean) => void;
  readonly setOpen: (open: Open) => void;
}

function Top({ menu, setMenu, setOpen }: TopProps) {
  const { t, language } = useWords();
  const { state } = useStore(live);
  const mayFollow = useMay('events.read');
  const city = useCity();
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme('light');
  const button = { variant: 'subtle', color: 'gray', size: 'md' } as const;
  return (
    <header className="top">
      <ActionIcon
        {...button}
        className="burger"
        aria-label={t('menu')}
        aria-expanded={menu}
        aria-controls="side"
        onClick={() => setMenu(!menu)}
      >
        <Icon name="menu" />
      </ActionIcon>
      <Link to="/" className="brand">
        Lamppost <span className="dim wide">{city.data?.name[language]}</span>
      </Link>
      <span className="push" />
      {mayFollow && (
        <span id="state" role="status" className="state" data-state={state}>
          {t(`live.${state}`)}
        </span>
      )}
      <ActionIcon {...button} aria-label={t('palette')} onClick={() => setOpen('palette')}>
        <Icon name="search" />
      </ActionIcon>
      <ActionIcon {...button} className="wide" aria-label={t('help')} onClick={() => setOpen('help')}>
        <Icon name="help" />
      </ActionIcon>
      <ActionIcon
        {...button}
        aria-label={t('scheme')}
        onClick={() => setColorScheme(scheme === 'dark' ? 'light' : 'dark')}
      >
        <Icon name="sun" />
      </ActionIcon>
      <LanguageButton />
    </header>
  );
}

function Side({ menu }: { readonly menu: boolean }) {
  const { t } = useWords();
  const me = useMe();
  const pages = PAGES.filter(({ right }) => right === null || me.rights.includes(right));
  return (
    <nav id="side" className="side" aria-label={t('menu')} data-open={menu || undefined}>
      {pages.map(({ to, text, icon }) => (
        <Link key={to} to={to} className="nav" activeOptions={{ exact: to === '/' }}>
          <Icon name={icon} /> {t(text)}
        </Link>
      ))}
      <div className="foot bar">
        <span id="who" title={me.department === null ? me.role : `${me.role} · ${me.department}`}>
          {me.name}
        </span>
        <ActionIcon
          id="leave"
          className="push"
          variant="subtle"
          color="gray"
          aria-label={t('sign-out')}
          onClick={() => void signOut()}
        >
          <Icon name="out" />
        </ActionIcon>
      </div>
    </nav>
  );
}
