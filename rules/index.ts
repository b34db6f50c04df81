export * from './alert-store.ts';
export {
  createRulesConsumer,
  type Effects,
  RULES_SCHEMA,
  type RulesConsumer,
  type TransitionContext,
} from './consumer.ts';
export { createRuleEngine, type Moment, type RuleEngine } from './engine/index.ts';
export { parseRules } from './language/index.ts';
