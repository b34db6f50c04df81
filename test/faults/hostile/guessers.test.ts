import { GUESSER } from '../../kit/hostile/attacks/index.ts';
import { attackSuite } from '../../kit/hostile/suite.ts';

attackSuite(GUESSER);
