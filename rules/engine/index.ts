export { createRuleEngine, type Moment, type RuleEngine, type StateRow } from './engine.ts';
