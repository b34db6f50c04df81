import type { RoomSchema } from '../store/index.ts';

/** Tables of what people did: results that a repeated request gets again, and the audit trail. */
export const ACTION_SCHEMA: RoomSchema = {
  room: 'actions',
  steps: [
    `
  create table action_results (
    actor text not null, key text not null, command text not null, at_ms integer not null, result text not null,
    primary key (actor, key)
  ) strict, without rowid;
  create index action_results_at on action_results (at_ms);
  create table audit (
    n integer primary key, at_ms integer not null, place text not null, actor text not null, role text not null,
    department text, address text, action text not null, target text not null, result text not null,
    detail text not null, hash blob not null
  ) strict;
  create index audit_actor on audit (actor, n);
  create index audit_target on audit (target, n);
  create index audit_at on audit (at_ms);
`,
  ],
};
