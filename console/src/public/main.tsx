import './public.css';
import { StrictMode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { setLanguage } from '../words.ts';
import { City } from './City.tsx';
import { Claim } from './Claim.tsx';
import { dataOf, useCity } from './data.ts';
import { Report } from './Report.tsx';
import { Request } from './Request.tsx';
import { useWords } from './words.ts';

/** `/public`, `/public/report`, `/public/requests/{token}` and `/claim`: for everybody, without signing in. */
function PublicPage() {
  const { t, language } = useWords();
  const city = dataOf(useCity());
  const name = city?.name[language] ?? '';
  const title = t('title', { city: name });
  const [, first, second = '', token = ''] = location.pathname.split('/');
  const place = first === 'claim' ? first : second;
  useEffect(() => {
    document.title = title;
  }, [title]);
  const links = [
    ['/public', t('nav.city')],
    ['/public/report', t('nav.report')],
  ] as const;
  return (
    <>
      <a className="skip" href="#page">
        {t('skip')}
      </a>
      <header className="top">
        <b>{name}</b>
        <nav aria-label={t('nav')}>
          {links.map(([address, text]) => (
            <a key={address} href={address} aria-current={address === location.pathname ? 'page' : undefined}>
              {text}
            </a>
          ))}
        </nav>
        <button
          id="language"
          type="button"
          lang={language === 'en' ? 'zh' : 'en'}
          onClick={() => setLanguage(language === 'en' ? 'zh' : 'en')}
        >
          {t('other')}
        </button>
      </header>
      <main id="page" tabIndex={-1}>
        {place === '' && (
          <>
            <h1>{title}</h1>
            <City />
          </>
        )}
        {place === 'claim' && <Claim />}
        {place === 'report' && <Report />}
        {place === 'requests' && <Request token={decodeURIComponent(token)} />}
      </main>
    </>
  );
}

createRoot(document.querySelector('#root')!).render(
  <StrictMode>
    <PublicPage />
  </StrictMode>,
);
