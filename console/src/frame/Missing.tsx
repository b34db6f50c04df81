import { Link } from '@tanstack/react-router';
import { useWords } from '../language.ts';

export function Missing() {
  const { t } = useWords();
  return (
    <div className="panel empty">
      <h1>{t('missing')}</h1>
      <Link to="/">{t('nav.now')}</Link>
    </div>
  );
}
