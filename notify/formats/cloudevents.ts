import type { Format, Ping } from './format.ts';

/** CloudEvents 1.0 over HTTP, structured (HTTP binding §3.2): the event as MQTT and SSE tell it. */
export const cloudEvents: Format = {
  refersBack: false,
  accepts: () => true,
  render: ({ event }) => messageOf(event),
  ping: (ping) => messageOf(pingEventOf(ping)),
};

function messageOf(event: object) {
  return { contentType: 'application/cloudevents+json; charset=utf-8', body: JSON.stringify(event) };
}

/** A CloudEvent of type `city.lamppost.ping`, which nothing else emits. */
function pingEventOf({ id, webhook, time }: Ping) {
  return {
    specversion: '1.0',
    id,
    source: '/lamppost',
    type: 'city.lamppost.ping',
    subject: `webhooks/${webhook}`,
    time,
    datacontenttype: 'application/json',
    data: { webhook },
  };
}
