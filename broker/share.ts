/** A shared subscription (MQTT 5 §4.8.2): each message of the filter is for one member of the group. */
export interface Share {
  readonly group: string;
  readonly filter: string;
}

const PREFIX = '$share/';
const SHARE = /^\$share\/([^/+#]+)\/(.+)$/s;

/** Whether a filter says that it is a shared subscription. */
export function isShared(filter: string): boolean {
  return filter.startsWith(PREFIX);
}

/** Returns the parts of a shared subscription; null where the name of the group or the filter is malformed. */
export function shareOf(filter: string): Share | null {
  const [, group, of] = SHARE.exec(filter) ?? [];
  return group === undefined || of === undefined ? null : { group, filter: of };
}

/** Returns the filter of the messages, of a shared subscription as of another. */
export function plainFilter(filter: string): string {
  return shareOf(filter)?.filter ?? filter;
}
