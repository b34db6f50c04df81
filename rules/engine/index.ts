export { FARTHEST_NEIGHBOUR, LEAST_SAMPLES, trainingOf } from './clauses/anomaly.ts';
export { createRuleEngine } from './engine.ts';
export {
  type ClauseExplanation,
  EXPLAIN_REASONS,
  type ExplainReason,
  type Explanation,
  type Moment,
  type RuleEngine,
  type RulesInForce,
  type StateRow,
} from './types.ts';
