export { type CaseResult, type TestReport, testRules } from './files.ts';
