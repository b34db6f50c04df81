import { execFileSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

/** Where Debian's Chromium is; null where it is not installed, which is reported, and is a failure in CI. */
export function chromiumPath(): string | null {
  try {
    return execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim();
  } catch {
    if (process.env.CI === 'true') throw new Error('chromium is not installed, and CI needs it');
    console.warn('SKIPPED: chromium is not installed: the pages in a browser');
    return null;
  }
}

/** Starts Chromium without a window. Root has no sandbox. */
export function openBrowser(path: string): Promise<Browser> {
  return chromium.launch({ executablePath: path, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
