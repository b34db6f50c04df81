import { generate } from 'mqtt-packet';

const PAYLOAD = '{"ts":1764000000000,"metrics":{"pm25":12.3456789012,"pm10":23.4567890123,"no2":34.56789012345555}}';
const CHUNK_PACKETS = 500;
const ROUNDS = 2_000;

/**
 * What no server in this language can undercut on one thread: walking the headers of PUBLISH packets and JSON.parse of
 * each payload. µs a message.
 */
export function parseLimitMicros(): number {
  const packet = generate({
    cmd: 'publish',
    topic: 'devices/bench-1/readings',
    payload: PAYLOAD,
    qos: 1,
    messageId: 7,
    dup: false,
    retain: false,
  });
  const chunk = Buffer.concat(Array.from({ length: CHUNK_PACKETS }, () => packet));
  scan(chunk);
  const from = performance.now();
  let sum = 0;
  for (let round = 0; round < ROUNDS; round++) sum += scan(chunk);
  const micros = (performance.now() - from) * 1_000;
  if (sum !== ROUNDS * CHUNK_PACKETS * 3) throw new Error('the scan missed a metric');
  return micros / (ROUNDS * CHUNK_PACKETS);
}

function scan(chunk: Buffer): number {
  let metrics = 0;
  for (let at = 0; at < chunk.length; ) {
    let length = 0;
    let shift = 0;
    let digit: number;
    do {
      digit = chunk[++at]!;
      length |= (digit & 127) << shift;
      shift += 7;
    } while (digit > 127);
    at++;
    const topicLength = chunk.readUInt16BE(at);
    const body = chunk.toString('utf8', at + 4 + topicLength, at + length);
    metrics += Object.keys((JSON.parse(body) as { metrics: object }).metrics).length;
    at += length;
  }
  return metrics;
}
