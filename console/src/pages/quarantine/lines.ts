import type { QuarantinedInFull } from '../../api/schema.ts';

/** Lines for a file of the city folder, and which one. What only the city knows is in capitals. */
export interface Lines {
  readonly file: string;
  readonly text: string;
}

type Entry = Pick<QuarantinedInFull, 'reason' | 'path' | 'paths' | 'topic' | 'device'>;

/** The field at the end of a JSON path: `pm 2` of `$[0].metrics["pm 2"]`. */
function fieldAt(path: string): string {
  const [, quoted, plain] = /(?:\["([^"]+)"\]|\.([^.[\]]+))$/.exec(path) ?? [];
  return quoted ?? plain ?? 'FIELD';
}

const plain = (name: string) => (/^[A-Za-z_][\w.-]*$/.test(name) ? name : JSON.stringify(name));

/**
 * Returns what would be written into the city folder to make a refusal right, for the profile of the device; null where
 * nothing there would.
 */
export function linesFor({ reason, path, paths, topic, device }: Entry, profile = 'KIND'): Lines | null {
  const fields = [...new Set((paths.length > 0 ? paths : [path]).map(fieldAt))].map(plain);
  const mapped = (settings: string) => fields.map((field) => `    ${field}: ${settings}\n`).join('');
  switch (reason) {
    case 'unknown-metric':
      return {
        file: 'profiles.yaml',
        text: `${profile}:\n  fields:\n${mapped('{ metric: METRIC, unit: UNIT } # or: ignore')}`,
      };
    case 'unknown-unit':
    case 'wrong-unit':
    case 'ambiguous':
      return { file: 'profiles.yaml', text: `${profile}:\n  fields:\n${mapped('{ metric: METRIC, unit: UNIT }')}` };
    case 'out-of-range': {
      const real = fields.map((field) => `${field}: { min: LEAST, max: MOST }\n`).join('');
      const none = `${profile}:\n  invalid:\n${mapped('[{ value: CODE, reason: WHY }]')}`;
      return {
        file: 'metrics.yaml, profiles.yaml',
        text: `# metrics.yaml\n${real}# profiles.yaml\n${none}`,
      };
    }
    case 'unknown-value':
      return { file: 'metrics.yaml', text: fields.map((field) => `${field}: { values: { CODE: NAME } }\n`).join('') };
    case 'unknown-profile':
      return { file: 'profiles.yaml', text: `${profile}:\n  metrics: [METRIC]\n  interval: 15m\n` };
    case 'unknown-topic':
    case 'wrong-shape':
      return {
        file: 'formats.yaml',
        text: `NAME:\n  topic: ${topic.replace(device, '{device}')}\n  values: { METRIC: PATH.OF.THE.VALUE }\n`,
      };
    case 'not-decoded':
      return { file: 'profiles.yaml', text: `${profile}:\n  codec: DECODER.js\n` };
    case 'too-old':
    case 'in-the-future':
      return { file: 'city.yaml', text: 'accepts: { past: 7d, ahead: 5m }\n' };
    default:
      return null;
  }
}
