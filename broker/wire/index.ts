export {
  type ClientPacket,
  type Connect,
  type Level,
  type Publish,
  readPacket,
  type Subscribe,
  UnknownLevel,
  type Unsubscribe,
} from './packets.ts';
export { Violation } from './reader.ts';
export { eachPacket, WholePackets } from './whole-packets.ts';
