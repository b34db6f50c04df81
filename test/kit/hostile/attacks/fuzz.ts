import { fuzzHttp } from '../fuzz-http.ts';
import { fuzzMqtt, LEAST_CONVERSATIONS } from '../fuzz-mqtt.ts';
import type { Attack } from '../target.ts';

/** Fuzzers; `HOSTILE_SEED` chooses another sequence. */
export const FUZZ: Readonly<Record<string, Attack>> = {
  'fuzz-mqtt': {
    title: 'conversations of valid, nearly valid and broken MQTT packets end nothing but themselves',
    run: fuzzMqtt,
    judge: ({ conversations, received }) =>
      conversations! >= LEAST_CONVERSATIONS && received! > 0 ? [] : ['hardly anything was sent'],
  },
  'fuzz-http': {
    title: 'requests made from the OpenAPI document, right and wrong, get no 500',
    run: fuzzHttp,
    judge: ({ status200, status400 }) => (status200! > 0 && status400! > 0 ? [] : ['hardly anything was sent']),
  },
};
