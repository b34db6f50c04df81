import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A small file system that can be filled to the last byte. */
export interface SmallDisk {
  readonly path: string;
  /** Fills the disk until no more than this is free, bytes. */
  fill(leave: number): void;
  /** Frees the space again. */
  relieve(): void;
  unmount(): void;
}

/** Mounts a disk of `mib` MiB; null where this user may not mount. */
export function mountSmallDisk(mib: number): SmallDisk | null {
  const path = mkdtempSync(join(tmpdir(), 'lamppost-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'lamppost-test', path], { stdio: 'pipe' });
  } catch {
    rmSync(path, { recursive: true });
    return null;
  }
  const ballast = join(path, 'ballast');
  return {
    path,
    fill(leave) {
      const { bavail, bsize } = statfsSync(path);
      const file = openSync(ballast, 'a');
      const chunk = Buffer.alloc(bsize);
      try {
        for (let i = Math.ceil(leave / bsize); i < bavail; i++) writeSync(file, chunk);
      } catch (error) {
        // Others write, too: the disk is full already.
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(file);
      }
    },
    relieve: () => rmSync(ballast),
    unmount() {
      // Lazily: a server that a failed test left behind must not keep the mount.
      execFileSync('umount', ['-l', path], { stdio: 'pipe' });
      rmSync(path, { recursive: true });
    },
  };
}

/** For a test that needs a disk where there is none: reports the skip, and fails where skips are not allowed. */
export function mountable(what: string): boolean {
  const disk = mountSmallDisk(1);
  disk?.unmount();
  if (disk === null && process.env.CI === 'true')
    throw new Error(`no file system can be mounted, and CI needs it: ${what}`);
  if (disk === null) console.warn(`SKIPPED: no file system can be mounted here: ${what}`);
  return disk !== null;
}
