export { type BacktestDevice, type BacktestInput, backtestDevices, backtestInput, ruleInForce } from './input.ts';
export {
  type Backtest,
  type BacktestChange,
  type BacktestDifference,
  type BacktestIncident,
  type BacktestOptions,
  type BacktestProgress,
  type BacktestReport,
  BacktestReportSchema,
  type BacktestRequest,
  type BacktestSpan,
  type BacktestTicket,
  type BacktestTotals,
} from './report.ts';
export { runBacktest } from './run.ts';
