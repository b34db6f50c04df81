export {
  ALERT_SCHEMA,
  type AlertChange,
  type AlertQuery,
  type AlertReader,
  type AlertStore,
  createAlertReader,
  createAlertStore,
} from './alert-store.ts';
export {
  type Backtest,
  type BacktestChange,
  type BacktestDevice,
  type BacktestDifference,
  type BacktestIncident,
  type BacktestInput,
  type BacktestOptions,
  type BacktestProgress,
  type BacktestReport,
  type BacktestRequest,
  type BacktestSpan,
  type BacktestTicket,
  type BacktestTotals,
  runBacktest,
} from './backtest/index.ts';
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
export { type CaseResult, type TestReport, testRules } from './testing/index.ts';
export { createTrial, type TrialMessage, type TrialReport, type TrialRequest } from './trial/index.ts';
