import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../wait.ts';
import { compiled } from './compiled.ts';

const run = (command: string, args: readonly string[]) => execFileSync(command, args, { stdio: 'pipe' });

/** A file system of its own (ext4 in a file): it can be filled, and stopped as by a power loss. */
export class LoopDisk {
  readonly path: string;
  readonly #image: string;

  private constructor(image: string, path: string) {
    this.#image = image;
    this.path = path;
  }

  /** Mounts a disk of `mib` MiB; null where this user, or this kernel, cannot. */
  static mount(mib: number): LoopDisk | null {
    const folder = mkdtempSync(join(tmpdir(), 'lamppost-loop-'));
    const disk = new LoopDisk(join(folder, 'image'), mkdtempSync(join(tmpdir(), 'lamppost-test-')));
    const image = openSync(disk.#image, 'w');
    ftruncateSync(image, mib * 1024 * 1024);
    closeSync(image);
    try {
      run('mkfs.ext4', ['-q', '-F', '-m', '0', disk.#image]);
      disk.#mount();
      return disk;
    } catch {
      rmSync(folder, { recursive: true });
      rmSync(disk.path, { recursive: true });
      return null;
    }
  }

  #mount(): void {
    run('mount', ['-o', 'loop', this.#image, this.path]);
  }

  /** Fills it to the last block. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.path);
    // Others write, too: fallocate takes what it gets.
    try {
      run('fallocate', ['-l', String(bavail * bsize), join(this.path, 'ballast')]);
    } catch {}
  }

  relieve(): void {
    rmSync(join(this.path, 'ballast'), { force: true });
  }

  /** From now on nothing reaches the disk. */
  stop(): void {
    run(compiled('stop-disk.c'), [this.path]);
  }

  /** Mounts it again after `stop`: its log is replayed. The processes that have a file open are about to end. */
  async restart(): Promise<void> {
    const unmount = () => {
      try {
        run('umount', [this.path]);
        return true;
      } catch (error) {
        if (!String((error as { stderr?: Buffer }).stderr).includes('busy')) throw error;
        return false;
      }
    };
    await until(unmount, 'nobody uses the disk', 100);
    this.#mount();
  }

  remove(): void {
    // Lazily: a server that was left behind must not keep the mount.
    run('umount', ['-l', this.path]);
    rmSync(this.path, { recursive: true });
    rmSync(join(this.#image, '..'), { recursive: true });
  }
}
