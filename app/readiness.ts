import type { ApiDeps } from '../api/index.ts';

type Readiness = Awaited<ReturnType<ApiDeps['readiness']>>;
type Part = Readiness['parts']['rules'];
type Behind = Pick<Part, 'behindBlocks' | 'secondsLeft'>;

/** That this node of a cluster cannot follow the log: why, and for how long, ms. */
export interface LogAway {
  readonly why: string;
  readonly sinceMs: number;
}

/** What is known of a node of a cluster. */
interface Node {
  /** Null: it follows the log. */
  readonly away: LogAway | null;
  /** Whether all nodes have one history: where it does not take readings, no other node serves better. */
  readonly sharesHistory: boolean;
}

/** How far the engine's thread is, in numbers of blocks. */
export interface EngineStatus {
  /** The newest block of the journal, and when this was read, epoch ms. */
  readonly head: number;
  readonly atMs: number;
  /** The newest block when the engine started, and when that was, epoch ms. */
  readonly startedAt: number;
  readonly startedMs: number;
  /** Whether the rules have the state of the process before. */
  readonly recovered: boolean;
  /** Where the rules are, and where they were when the engine started. */
  readonly reached: number;
  readonly reachedFirst: number;
  /** Whether the history is open. */
  readonly open: boolean;
  readonly history: number;
  readonly historyFirst: number;
  /** Why the history waits; null where it does not. */
  readonly trouble: string | null;
}

/**
 * Returns what `/ready` says. Devices are accepted from the start on: what they send waits in the log. Not ready is who
 * would get a wrong response or none: rules without the state of the process before, a history that is closed or does
 * not take readings. A part that is behind is ready, and says how far behind it is.
 */
export function readinessOf(status: EngineStatus, node: Node | null = null): Readiness {
  const away = node?.away ?? null;
  const isShared = node?.sharesHistory ?? false;
  const rules = { state: rulesState(status), ...behind(status, status.reached, status.reachedFirst) };
  const history = { state: historyState(status), ...behind(status, status.history, status.historyFirst) };
  const reasons = [
    ...(rules.state === 'starting' ? [`rules: they recover, ${rules.behindBlocks} blocks behind the log`] : []),
    ...(node !== null && rules.state === 'catching-up'
      ? [`rules: they are ${rules.behindBlocks} blocks behind the log; the other nodes serve`]
      : []),
    ...(history.state === 'starting' ? ['history: it is being opened'] : []),
    ...(history.state === 'trouble' && !isShared ? [`history: ${status.trouble}`] : []),
    ...(away === null ? [] : [`log: ${away.why}; what is shown here is ${Math.round(away.sinceMs / 1_000)} s old`]),
  ];
  // Balancers send devices and people to another node.
  const devices = { state: away === null ? ('ready' as const) : ('trouble' as const) };
  return {
    ready: reasons.length === 0,
    reasons,
    notes: isShared && history.state === 'trouble' ? [`history: ${status.trouble}`] : [],
    parts: { devices, rules, history },
  };
}

function rulesState({ recovered, reached, startedAt }: EngineStatus): Part['state'] {
  if (!recovered) return 'starting';
  return reached < startedAt ? 'catching-up' : 'ready';
}

function historyState({ open, trouble, history, startedAt }: EngineStatus): Part['state'] {
  if (trouble !== null) return 'trouble';
  if (!open) return 'starting';
  return history < startedAt ? 'catching-up' : 'ready';
}

/** The estimate takes the mean pace since the start; there is none before the first block. */
function behind({ head, atMs, startedMs }: EngineStatus, at: number, first: number): Behind {
  const behindBlocks = Math.max(0, head - at);
  const blocksPerMs = (at - first) / Math.max(1, atMs - startedMs);
  if (behindBlocks === 0) return { behindBlocks, secondsLeft: 0 };
  return { behindBlocks, secondsLeft: blocksPerMs > 0 ? Math.ceil(behindBlocks / blocksPerMs / 1_000) : null };
}
