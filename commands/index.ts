export { type CommandReader, createCommandReader } from './reader.ts';
export { COMMAND_SCHEMA } from './schema.ts';
export { type AskedAt, type CommandRequest, CommandWriter, type DesiredChange } from './writer.ts';
