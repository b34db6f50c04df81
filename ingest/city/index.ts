export { parseDuration } from './duration.ts';
export { readCityFolder } from './folder.ts';
export { formatProblems, type ParsedCity, parseCity } from './parse.ts';
export { Duration, Id, strict } from './schema.ts';
export { check, openSource, type Source } from './source.ts';
export { suggest } from './suggest.ts';
