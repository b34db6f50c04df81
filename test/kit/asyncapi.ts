import { draft7Checker } from './json-schema.ts';

interface Ref {
  readonly $ref: string;
}

/** The parts of an AsyncAPI document that the checker uses. */
export interface AsyncApiDocument {
  readonly channels: Readonly<
    Record<
      string,
      {
        readonly address: string;
        readonly messages: Readonly<Record<string, Ref>>;
        readonly parameters: Readonly<Record<string, { readonly description: string; readonly examples: string[] }>>;
      }
    >
  >;
  readonly operations: Readonly<
    Record<
      string,
      {
        readonly action: 'send' | 'receive';
        readonly description: string;
        readonly channel: Ref;
        readonly bindings: { readonly mqtt: { readonly qos: number; readonly retain: boolean } };
      }
    >
  >;
  readonly components: {
    readonly messages: Readonly<
      Record<
        string,
        {
          readonly summary: string;
          readonly contentType: string;
          readonly payload: Ref;
          readonly examples?: readonly { readonly payload: unknown }[];
        }
      >
    >;
  };
}

/** A message on its topic, and how it was sent as far as that is known. */
export interface Sent {
  readonly topic: string;
  readonly payload: string;
  readonly qos?: number;
  readonly retain?: boolean;
}

/** Checks MQTT messages against an AsyncAPI 3 document; returns what is wrong with a message. */
export function asyncApiChecker(document: AsyncApiDocument) {
  const check = draft7Checker({ asyncapi: { components: document.components } });
  const schemas = new Map<string, Ref>();
  const channels = Object.entries(document.channels).map(([name, { address, messages }]) => ({
    matches: new RegExp(`^${address.replace(/\{\w+\}/g, '[^/]+')}$`),
    messages: Object.keys(messages).map((message) => document.components.messages[message]!),
    binding: Object.values(document.operations).find(({ channel }) => channel.$ref === `#/channels/${name}`)!.bindings
      .mqtt,
  }));

  function faultsOf({ $ref }: Ref, value: unknown): string[] {
    const schema = schemas.get($ref) ?? { $ref: `asyncapi${$ref}` };
    schemas.set($ref, schema);
    return check(schema, value);
  }

  return ({ topic, payload, qos, retain }: Sent): string[] => {
    const channel = channels.find(({ matches }) => matches.test(topic));
    if (channel === undefined) return [`${topic} is not in the document`];
    const { binding, messages } = channel;
    if (qos !== undefined && qos !== binding.qos) return [`${topic}: quality of service ${qos}, not ${binding.qos}`];
    if (retain !== undefined && retain !== binding.retain) return [`${topic}: retain is ${retain}`];
    if (payload === '' && binding.retain) return [];
    const found = messages.map(({ contentType, payload: schema }) =>
      faultsOf(schema, contentType.includes('json') ? JSON.parse(payload) : payload),
    );
    return found.some((faults) => faults.length === 0) ? [] : found.flat().map((fault) => `${topic}: ${fault}`);
  };
}
