import { AGAIN_SECONDS, type DemoCluster } from './demo-cluster.ts';

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
  const nodeLines = nodes.flatMap(({ name, api, mqtt, member }, n) => [
    `  node ${name}   pid ${member.pid}   ${api}   ${mqtt}`,
    `    sign in  ${links[n]}   (once; within a day)`,
  ]);
  const serverLines = servers.map(({ name, url, member }) => `  nats-server ${name}   pid ${member.pid}   ${url}`);
  return `A cluster is running with a simulated city of several districts. The first tickets appear within a minute.

${nodeLines.join('\n')}
${serverLines.join('\n')}

  admin key  ${key}
  data       ${data}   (with the output of each process)

Kill something, and see what happens; what ended is started again after ${AGAIN_SECONDS} s:
${failures(nodes, servers).join('\n')}

Where to look, on any node:
  the page System of the console (${nodes.at(-1)!.page}/system)
  curl -H 'Authorization: Bearer ${key}' ${nodes.at(-1)!.api}/api/v1/cluster
  curl -H 'Authorization: Bearer ${key}' '${nodes.at(-1)!.api}/api/v1/tickets?limit=3'
  LAMPPOST_LOG='${log}' lamppost cluster status
  change a rule in ${city}/rules and save it: it is in force on every node at once

Press Ctrl-C to stop.
`;
}

/** What to kill, and what it does. */
function failures(nodes: DemoCluster['nodes'], servers: DemoCluster['servers']): string[] {
  const [node, ...pids] = [nodes[0]!.member.pid, ...servers.map(({ member }) => member.pid)];
  if (servers.length === 1) {
    return [
      `  kill -9 ${node}   the node: its devices wait for it, and lose nothing`,
      `  kill -9 ${pids[0]}   the nats-server: nothing is acknowledged until it is back`,
    ];
  }
  const most = pids.slice(0, Math.ceil(pids.length / 2));
  return [
    `  kill -9 ${node}   a node: its devices connect to another one, and tickets go on there`,
    `  kill -9 ${pids[0]}   a nats-server: some seconds without acknowledgements; nothing is lost`,
    `  kill -9 ${most.join(' ')}   ${most.length} of ${pids.length} nats-servers: nothing is acknowledged until one is back`,
  ];
}
