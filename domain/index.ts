export {
  type Alert,
  AlertSchema,
  type AlertState,
  type ClauseEvidence,
  type Evidence,
  EvidenceSchema,
  type Transition,
} from './alert.ts';
export { addWorkingTime, type CalendarClock, createCalendarClock, workingTimeBetween } from './calendar.ts';
export {
  type City,
  type CityProblem,
  CityProblemSchema,
  type Department,
  DepartmentSchema,
  type District,
  type FieldMapping,
  type LocalText,
  LocalTextSchema,
  type Metric,
  MetricSchema,
  type Open311,
  type Profile,
  type Publishing,
} from './city.ts';
export { type Clock, systemClock, systemTimers, type Timers } from './clock.ts';
export { DEVICE_ID, type Device, DeviceSchema, PlaceSchema, TagsSchema } from './device.ts';
export {
  type ErrorCode,
  LamppostError,
  MQTT_REASONS,
  type MqttReason,
  REASONS,
  type Reason,
  type Rejection,
  RULE_REFUSALS,
  type RuleRefusal,
  TICKET_REFUSALS,
  type TicketRefusal,
} from './errors.ts';
export {
  type CloudEvent,
  DROP_REASONS,
  type DropReason,
  EVENT_TYPES,
  type EventType,
  type LoginsFailing,
  type Publication,
  type SessionDrop,
} from './event.ts';
export {
  type Box,
  boxAround,
  contains,
  distanceM,
  districtAt,
  type Place,
  type Polygon,
  type Position,
  polygonsOf,
} from './geo.ts';
export {
  AGGREGATES,
  type Aggregate,
  bucketOf,
  everyOf,
  type Fill,
  fillOf,
  type HistoryStore,
  type HistoryUpkeep,
  type LatestReading,
  LatestReadingSchema,
  type PointsSlice,
  type ReadingsFilter,
  type ReadingsQuery,
  type ReadOptions,
  type RefusedRow,
  type ScannedReadings,
  type ScanQuery,
  type Series,
  SeriesSchema,
  type SliceSeries,
} from './history.ts';
export type {
  Appended,
  Block,
  BlockKind,
  CityControl,
  CityFile,
  DevicesControl,
  Message,
  MessageRoute,
  MessageSink,
  ReplayControl,
  ReplayItem,
  RuleControl,
} from './journal.ts';
export { boundTo, KEY_ROLES, type Key, type KeyRole, KeySchema } from './key.ts';
export {
  type Ledger,
  LedgerSchema,
  type Page,
  type Quarantined,
  type QuarantinedInFull,
  QuarantinedInFullSchema,
  QuarantinedSchema,
  type QuarantineUsage,
  QuarantineUsageSchema,
} from './ledger.ts';
export { type Names, requireName, suggest, unknownName } from './names.ts';
export { excessOf, MOST_LEVELS } from './nesting.ts';
export type { KnownDevice, MetricTable, ReadingColumns } from './reading.ts';
export {
  type AbsentCondition,
  type AnomalyCondition,
  type Band,
  type Calendar,
  CITY_GROUP,
  type Clause,
  type Comparison,
  type Condition,
  FAULT_GROUP,
  type FlatCondition,
  type ForecastCondition,
  GROUPINGS,
  type Grouping,
  type JumpCondition,
  LIMIT_GROUP,
  type Quorum,
  type Rule,
  SEVERITIES,
  type Severity,
  type ThresholdCondition,
  WINDOW_FUNCTIONS,
  type WindowAggregate,
  type WindowFunction,
} from './rule.ts';
export type { ShapeOf } from './schema.ts';
export {
  type AlertLabels,
  type EscalationStep,
  type Gathering,
  GROUP_KEYS,
  type GroupKey,
  type Inhibition,
  MATCH_KEYS,
  type Matchers,
  MatchersSchema,
  type MatchKey,
  type OfferTier,
  type Service,
  type ServiceAttribute,
} from './service.ts';
export { districtOf, type Subject } from './subject.ts';
export {
  HISTORY_ACTIONS,
  type HistoryAction,
  RatingSchema,
  TICKET_STATUSES,
  type Ticket,
  type TicketAlert,
  TicketAlertSchema,
  type TicketChange,
  TicketSchema,
  type TicketStatus,
} from './ticket.ts';
export { DAY_MS, HOUR_MS, isoOf, MINUTE_MS, parseDuration, SECOND_MS } from './time.ts';
export { element, escapeXml, type Xml, xmlOf, xmlTextOf } from './xml.ts';
export { createZone, type Zone } from './zone.ts';
