import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The rooms on the way of a reading, from left to right. */
const ROOMS = ['domain', 'store', 'broker', 'ingest', 'rules', 'tickets', 'citizens', 'events', 'api'];

function imports(room: string): { file: string; target: string }[] {
  const files = readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  return files.flatMap((name) => {
    const file = join(ROOT, room, name);
    const found = readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?'(\.[^']+)'/g);
    return [...found].map(([, path]) => ({
      file: relative(ROOT, file),
      target: relative(ROOT, resolve(dirname(file), path!)),
    }));
  });
}

test.each(ROOMS)('rooms - %s imports only the doors of rooms to its left', (room) => {
  for (const { file, target } of imports(room)) {
    const [other, ...rest] = target.split('/');
    if (other === room) continue;
    expect(ROOMS.indexOf(other!), `${file} imports ${target}`).toBeGreaterThanOrEqual(0);
    expect(ROOMS.indexOf(other!), `${file} imports ${target}`).toBeLessThan(ROOMS.indexOf(room));
    expect(rest.at(-1), `${file} imports ${target}, not its door`).toBe('index.ts');
  }
});

test('rooms - the simulators know nothing of the server but its vocabulary', () => {
  for (const { file, target } of imports('simulators')) {
    expect(target.startsWith('simulators/') || target === 'domain/index.ts', `${file} imports ${target}`).toBe(true);
  }
});
