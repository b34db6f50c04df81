import { Link } from '@tanstack/react-router';
import { useWords } from '../language.ts';

export function Missing() {
  const { t } = useWords();
  return (
    <div className="panel empty">
      <p>{t('missing')}</p>
      <Link to="/">{t('nav.now')}</Link>
    </div>
  );
}
