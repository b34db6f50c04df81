import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Makes the folder of a complete backup with these files; positions of its log end with `seq`. */
export function backupFolder(files: Readonly<Record<string, Uint8Array>>, seq = 1): string {
  const dir = mkdtempSync(join(tmpdir(), 'lamppost-backup-'));
  const listed = Object.entries(files).map(([name, body]) => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), body);
    const sha256 = createHash('sha256').update(body).digest('hex');
    return { name, bytes: body.length, sha256, positions: name === 'journal.sqlite' ? { oldest: 1, newest: seq } : {} };
  });
  const at = '2026-11-30T00:00:00.000Z';
  const manifest = { format: 1, lamppost: '1.0.0', city: 'v1', startedAt: at, endedAt: at, files: listed };
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest));
  return dir;
}
