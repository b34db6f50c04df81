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
