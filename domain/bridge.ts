/** Where a secret of a bridge is: a variable of the environment, or a file of the folder of secrets. */
export type SecretPlace = { readonly env: string } | { readonly file: string };

/** What a bridge subscribes to at the other broker. */
export interface BridgeSubscription {
  /** A topic filter, with `$share/{group}/` in front where several share the messages. */
  readonly filter: string;
  readonly qos: 0 | 1;
  /** The declared format of the payloads, which name their devices; null: the topic says the format. */
  readonly format: string | null;
  /** Whether retained messages that were there before the subscription are taken, too. */
  readonly retained: boolean;
  /** What topics of the other broker begin with, and what they begin with here instead. */
  readonly remove: string;
  readonly add: string;
}

/** A connection to another broker, from which messages are taken (`bridges.yaml`). */
export interface CityBridge {
  readonly id: string;
  /** `mqtt://` or `mqtts://`, without credentials. */
  readonly url: string;
  /** Protocol level: 4 is MQTT 3.1.1. */
  readonly protocol: 4 | 5;
  /** The key in whose name its messages are admitted, counted and limited. */
  readonly key: string;
  readonly clientId: string;
  readonly username: string | null;
  readonly password: SecretPlace | null;
  /** PEM texts; null: the machine's authorities, and no certificate of its own. */
  readonly tls: {
    readonly ca: SecretPlace | null;
    readonly cert: SecretPlace | null;
    readonly key: SecretPlace | null;
    readonly serverName: string | null;
  };
  readonly keepAliveS: number;
  /** Whether commands to the LoRaWAN devices of its key are published to the other broker. */
  readonly commands: boolean;
  readonly subscribe: readonly BridgeSubscription[];
}
