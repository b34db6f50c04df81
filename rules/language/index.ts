export { type ParsedRule, parseRule, parseRules } from './parse.ts';
