export { readCityFolder, readRuleTests } from './folder.ts';
export { formatProblems, type ParsedCity, parseCity } from './parse.ts';
export { Duration, Id, Positive, strict, Text, unless } from './schema.ts';
export { check, MOST_PROBLEMS, openSource, type Source } from './source.ts';
export { applied, type Conversion, convert, unitFault } from './units.ts';
export { RULE_BOUNDS, type YamlBounds } from './yaml.ts';
