import fc from 'fast-check';
import { afterEach } from 'vitest';

/**
 * The seed of what is drawn in this process: another in each run, and `SEED` repeats one. fast-check prints it where a
 * property fails; here it is printed where a test fails that counts what the draws have covered.
 */
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });

afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.error(`${task.name}: SEED=${seed} repeats what fast-check drew`);
});
