import type { Attack } from '../target.ts';
import { DEVICE } from './device.ts';
import { FUZZ } from './fuzz.ts';
import { GUESSER } from './guesser.ts';
import { OPERATOR } from './operator.ts';
import { STRANGER } from './stranger.ts';
import { VIEWER } from './viewer.ts';

export { DEVICE, FUZZ, GUESSER, OPERATOR, STRANGER, VIEWER };

/** Every attack, by the name that the soak run takes. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  ...STRANGER,
  ...GUESSER,
  ...VIEWER,
  ...DEVICE,
  ...OPERATOR,
  ...FUZZ,
};
