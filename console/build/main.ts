// `npm ci` runs this (`prepare`), and `npm run console`.
import { buildConsole } from './build.ts';

try {
  await buildConsole();
} catch (error) {
  if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
  console.warn('The console was not built: that needs the development dependencies ("npm ci" without --omit=dev).');
}
