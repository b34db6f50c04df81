import type { DemoCluster } from './demo-cluster.ts';
import { AGAIN_SECONDS } from './demo-member.ts';
import { table } from './output.ts';

interface Welcome {
  readonly api: string;
  readonly key: string;
  readonly link: string;
  readonly data: string;
  readonly city: string;
  readonly mqttPort: number;
}

/** Returns what the demo prints once it runs: where to look, and what to try. */
export function welcomeOf({ api, key, link, data, city, mqttPort }: Welcome): string {
  return `Lamppost is running with a simulated city of several districts. The first tickets appear within a minute.

  sign in    ${link}   (once; within a day)
  console    ${api}
  API        ${api}/docs
  admin key  ${key}
  data       ${data}

Try next:
  curl -H 'Authorization: Bearer ${key}' ${api}/api/v1/ledger
  curl -H 'Authorization: Bearer ${key}' '${api}/api/v1/tickets?limit=3'
  curl -N -H 'Authorization: Bearer ${key}' -H 'Accept: text/event-stream' ${api}/api/v1/events
  mosquitto_sub -p ${mqttPort} -i me -u admin -P '${key}' -t 'live/#' -v
  change a rule in ${city}/rules and save it: it is in force at once

Press Ctrl-C to stop.
`;
}

/** The same for a cluster: every process, and what to kill. `links`: one for each node. */
export function welcomeOfCluster(
  { nodes, servers, key, log }: DemoCluster,
  links: readonly string[],
  { data, city }: { readonly data: string; readonly city: string },
): string {
  const processes = [
    ...nodes.map(({ name, api, mqtt, member }) => [`  node ${name}`, `pid ${member.pid}`, api, mqtt]),
    ...servers.map(({ name, url, member }) => [`  nats-server ${name}`, `pid ${member.pid}`, url, '']),
  ];
  const { name, api, page } = nodes.at(-1)!;
  return `A cluster is running with a simulated city of several districts. The first tickets appear within a minute.

${table(processes).join('\n')}

Sign in at any of them, each link once and within a day:
${table(nodes.map((node, n) => [`  ${node.name}`, links[n]!])).join('\n')}

  admin key  ${key}
  data       ${data}   (with the output of each process)

Kill something, and see what happens; what ended is started again after ${AGAIN_SECONDS} s:
${table(failures(nodes, servers)).join('\n')}

Where to look, here at ${name}:
  the page System of the console (${page}/system)
  curl -H 'Authorization: Bearer ${key}' ${api}/api/v1/cluster
  curl -H 'Authorization: Bearer ${key}' '${api}/api/v1/tickets?limit=3'
  LAMPPOST_LOG='${log}' lamppost cluster status
  change a rule in ${city}/rules and save it: it is in force on every node at once

Press Ctrl-C to stop.
`;
}

/** What to kill, and what it does. */
function failures(nodes: DemoCluster['nodes'], servers: DemoCluster['servers']): string[][] {
  const node = `  kill -9 ${nodes[0]!.member.pid}`;
  const pids = servers.map(({ member }) => member.pid);
  const server = `  kill -9 ${pids[0]}`;
  if (pids.length === 1) {
    return [
      [node, 'the node: its devices wait for it, and lose nothing'],
      [server, 'the nats-server: nothing is acknowledged until it is back'],
    ];
  }
  const most = pids.slice(0, Math.ceil(pids.length / 2));
  const several = `${most.length} of ${pids.length} nats-servers`;
  return [
    [node, 'a node: its devices connect to another one, and tickets go on there'],
    [server, 'a nats-server: some seconds without acknowledgements; nothing is lost'],
    [`  kill -9 ${most.join(' ')}`, `${several}: nothing is acknowledged until one is back; nothing is lost`],
  ];
}
