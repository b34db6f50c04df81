export { type BacktestDevice, type BacktestInput, runBacktest } from './run.ts';
export type {
  Backtest,
  BacktestChange,
  BacktestDifference,
  BacktestIncident,
  BacktestOptions,
  BacktestProgress,
  BacktestReport,
  BacktestRequest,
  BacktestSpan,
  BacktestTicket,
  BacktestTotals,
} from './types.ts';
