export * from './alert-store.ts';
export * from './backtest/index.ts';
export {
  createRuleBook,
  type RuleBook,
  type RuleChanged,
  type RuleDraft,
  type RuleEditor,
} from './book.ts';
export {
  createRulesConsumer,
  type Effects,
  type RulesConsumer,
  type TransitionContext,
} from './consumer.ts';
export { createConsumerStore, RULES_SCHEMA } from './consumer-store.ts';
export { createRuleEngine, type Moment, type RuleEngine } from './engine/index.ts';
export { EXPLAIN_REASONS, type ExplainReason, type Explanation } from './engine/types.ts';
export { type Explained, explained } from './explained.ts';
export { type InForce, rulesInForce } from './in-force.ts';
export { parseRule, parseRules } from './language/index.ts';
export { rulesJsonSchema } from './language/json-schema.ts';
export type { ListedRule, RuleVersion } from './listed.ts';
export * from './testing/index.ts';
export { createTrial, type TrialMessage, type TrialReport, type TrialRequest } from './trial/index.ts';
