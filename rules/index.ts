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
  BacktestReportSchema,
  type BacktestRequest,
  type BacktestSpan,
  type BacktestTicket,
  type BacktestTotals,
  backtestDevices,
  backtestInput,
  ruleInForce,
  runBacktest,
} from './backtest/index.ts';
export {
  Checksum,
  type ChecksumReport,
  compareMarks,
  createChecksumReader,
  type Difference,
  MARK_BLOCKS,
  type Mark,
  type NodeMarks,
  whyToStop,
} from './checksum.ts';
export {
  type BlockEffects,
  createRulesConsumer,
  type Effects,
  type RulesConsumer,
  type TransitionContext,
} from './consumer.ts';
export { createConsumerStore, type Progress, RULES_SCHEMA } from './consumer-store.ts';
export {
  createRuleEngine,
  EXPLAIN_REASONS,
  type ExplainReason,
  type Explanation,
  type Moment,
  type RuleEngine,
} from './engine/index.ts';
export { type Explained, ExplainedSchema, explained } from './explained.ts';
export { type InForce, type ListedRule, rulesInForce } from './in-force.ts';
export { parseRule, parseRules, rulesJsonSchema } from './language/index.ts';
export {
  createRuleRepository,
  type RuleActions,
  type RuleRepository,
  type RuleVersion,
  RuleVersionSchema,
} from './repository.ts';
export { createSuggest, type Incident, type Suggestions, SuggestionsSchema } from './suggest/index.ts';
export { type CaseResult, type TestReport, testRules } from './testing/index.ts';
export {
  createTrial,
  type TrialMessage,
  type TrialReport,
  TrialReportSchema,
  type TrialRequest,
} from './trial/index.ts';
export { createRuleWriter, type RuleDraft, type RuleWriter } from './writer.ts';
