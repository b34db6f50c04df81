import { Button } from '@mantine/core';
import { setLanguage, useWords } from '../language.ts';

export function LanguageButton() {
  const { language } = useWords();
  const other = language === 'en' ? 'zh' : 'en';
  return (
    <Button id="language" variant="default" size="compact-xs" lang={other} onClick={() => setLanguage(other)}>
      {other === 'zh' ? '中文' : 'English'}
    </Button>
  );
}
