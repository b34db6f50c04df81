export { parseRules } from './parse.ts';
