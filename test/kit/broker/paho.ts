/**
 * A broker for the interoperability suites of Paho (`node test/kit/broker/paho.ts 18831`): user `admin`, password as
 * printed. Lamppost passes no message from client to client, which every test of these suites needs. So here the key
 * may also publish, on the topics of the suites, and what is on disk becomes an event of the outbox. All else is the
 * broker as it is: logins, the wire, MQTT 5, sessions, delivery, wills.
 */
import { ROLES } from '../../../domain/index.ts';
import { SECRET, startBroker } from './kit.ts';

const PREFIXES = ['', 'client_test5/'];
const TOPICS = ['TopicA', 'TopicA/B', 'Topic/C', 'TopicA/C', '/TopicA', 'fromb/+', 'x'];
const patterns = PREFIXES.flatMap((prefix) => TOPICS.map((topic) => ({ topic: prefix + topic, device: '' })));

Object.assign(ROLES.admin.rights, { 'uplinks.publish': 'all' });
const port = Number(process.argv[2]);
const scene = await startBroker({ port, nowMs: Date.now(), declared: { names: [], topics: patterns } });
setInterval(() => Object.assign(scene, { nowMs: Date.now() }), 100);
const { sink } = scene;
const append = sink.append.bind(sink);
sink.append = (route, payload, done) => {
  const text = Buffer.from(payload).toString();
  append(route, payload, (error) => {
    done(error);
    scene.publish({ topic: route.topic, payload: text, qos: 1, retain: false });
  });
};
console.log(`port ${scene.port}, user admin, password ${SECRET}`);
