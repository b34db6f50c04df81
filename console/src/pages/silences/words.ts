import type { ShownSilence } from '../../api/schema.ts';
import type { Says } from '../../texts/says.ts';

type Matchers = ShownSilence['matchers'];
/** What has a name in the city: where the names are. */
type NameOf = (kind: 'districts' | 'profiles' | 'services' | 'departments', id: string) => string;

/** What a silence is about, in a line of the page's language. */
export function wordsOf({ tags = {}, ...lists }: Matchers, { t, term }: Says, name: NameOf): string {
  const shown: Readonly<Record<keyof typeof lists, readonly [label: string, of: (value: string) => string]>> = {
    rule: [t('rule'), String],
    device: [t('column.device'), String],
    district: [t('column.district'), (id) => name('districts', id)],
    profile: [t('column.profile'), (id) => name('profiles', id)],
    severity: [t('column.severity'), (severity) => term('severity', severity)],
    service: [t('column.service'), (id) => name('services', id)],
    department: [t('column.department'), (id) => name('departments', id)],
  };
  const named = (Object.keys(shown) as (keyof typeof shown)[]).flatMap((key) => {
    const [label, of] = shown[key];
    const values = lists[key] ?? [];
    return values.length === 0 ? [] : `${label}: ${values.map(of).join(', ')}`;
  });
  const tagged = Object.entries(tags).map(([tag, value]) => `${tag} = ${value}`);
  return [...named, ...tagged].join(' · ');
}
