import { useQuery } from '@tanstack/react-query';
import { api, bodyOf } from '../../api/client.ts';
import { useWords } from '../../language.ts';
import { Severity } from '../../parts/words.tsx';

/** Every rule about a device: whether its alert fires, and why. */
export function Explained({ device }: { readonly device: string }) {
  const { t, language } = useWords();
  const { data } = useQuery({
    queryKey: ['alerts', 'device', device],
    queryFn: () => bodyOf(api.GET('/api/v1/devices/{id}/explain', { params: { path: { id: device } } })),
  });
  if (data === undefined || data.items.length === 0) return null;
  const order = ['firing', 'pending', 'inactive'];
  const items = data.items.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  return (
    <section className="panel" aria-labelledby="explained">
      <header>
        <h2 id="explained">{t('device.rules')}</h2>
      </header>
      <table className="list">
        <tbody>
          {items.map(({ rule, severity, state, text, title, titleZh }) => (
            <tr key={rule}>
              <td>{severity !== undefined && <Severity of={severity} />}</td>
              <td>
                <b>{state === 'inactive' ? rule : ((language === 'zh' ? titleZh : title) ?? rule)}</b>
                <p className="dim">{text[language]}</p>
              </td>
              <td className={state === 'firing' ? 'late nowrap' : 'dim nowrap'}>{t(`alert.${state}`)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
