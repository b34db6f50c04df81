export { type ParsedRule, parseRule, parseRules } from './parse.ts';
export { rulesJsonSchema } from './schema.ts';
