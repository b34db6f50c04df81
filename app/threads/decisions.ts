import type { Logger } from 'pino';
import { FAULT_GROUP, type Rule, type RuleControl } from '../../domain/index.ts';
import type { Pipeline } from '../../events/index.ts';
import type { CityVersion } from '../../ingest/index.ts';
import { type Effects, rulesInForce } from '../../rules/index.ts';

/** What the rules' consumer decides by and what follows from it, with a word in the log where its reader should act. */
export function createDecisions({ log, pipeline }: { readonly log: Logger; readonly pipeline: Pipeline }) {
  const effects: Effects = (transition, surrounding) => {
    if (transition.group === FAULT_GROUP) {
      const { rule, to, evidence } = transition;
      log.error({ rule, to, detail: evidence.detail }, 'a rule met an error: it alone is disabled until it changes');
    }
    pipeline.apply({ transition, ...surrounding });
  };

  /** A rule of the API that the city no longer allows is left out, aloud. */
  function rulesOf(version: CityVersion, records: readonly RuleControl[]): readonly Rule[] {
    const { rules, problems } = rulesInForce(version, records);
    for (const [rule, found] of problems) {
      const why = found.map(({ line, column, message }) => `${line}:${column} ${message}`);
      log.warn({ rule, problems: why }, 'a rule of the API is not in force');
    }
    return rules;
  }

  return { effects, rulesOf };
}
