import { FUZZ } from '../../kit/hostile/attacks/index.ts';
import { attackSuite } from '../../kit/hostile/suite.ts';

attackSuite(FUZZ, 10_000);
