import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { endsWithUs } from '../kit/children.ts';
import { has } from '../kit/databases.ts';
import { APART, type Fenced, fencedBlocks, PAGES, ROOT } from '../kit/documents.ts';
import { runSketch } from '../kit/esp32.ts';
import { BIN } from '../kit/server.ts';
import { PATIENCE_MS } from '../kit/wait.ts';

interface Reader {
  /** What the reader has done, or was given, before the first command of the page. */
  readonly before?: string;
  /** What the reader does between the first block and the second one. */
  readonly between?: string;
  /** What must be true when the last one has run. */
  readonly after?: string;
  /** Whether the page starts a server itself, so that it needs ports of its own. */
  readonly starts?: true;
  /** Whether its Python and JavaScript are whole programs that end. */
  readonly programs?: true;
}

const ARRIVED = 'eventually "$LAMPPOST/api/v1/readings/latest?device=bin-1"';
const PUBLISHED = `${ARRIVED} '42'`;

const READERS: Readonly<Record<string, Reader>> = {
  'README.md': { starts: true, after: PUBLISHED },
  'docs/backup.md': { starts: true, before: 'start_server', between: 'MOMENT=$(date -u +%FT%TZ)' },
  'docs/damage.md': {
    starts: true,
    before: 'start_server; quietly lamppost backup --to $LAMPPOST_BACKUP_DIR/monday; stop_server',
  },
  'docs/devices.md': {
    before: `register bin-1 waste-bin; register air-1 air-quality; register lamp-1 streetlight
      register 70b3d57ed0004321 lorawan-climate
      CODE=$(command_of_lamppost device claim-code bin-1 | field code)`,
  },
  'docs/formats.md': {
    before: `register air-1 air-quality; register station-1 sensor-community
      register 70b3d57ed0001234 lorawan-climate
      remember key "$(command_of_lamppost key add ttn --role network-server --uplinks devices=70b3d57ed0001234)"`,
    after: `eventually "$LAMPPOST/api/v1/readings/latest?device=70b3d57ed0001234" 1013
      nothing_refused`,
  },
  'docs/import.md': {
    before: `register bin-1 waste-bin
      (echo device,ts,metric,value; echo "bin-1,$(date -u +%FT%TZ),fill,40") > history.csv`,
  },
  'docs/mqtt.md': {
    before: `register bin-1 waste-bin
      remember key "$(command_of_lamppost key add archive --role viewer)"`,
  },
  'docs/open311.md': {
    before: `cp ${ROOT}test/fixtures/photos/plain.jpg bin.jpg
      app=$(command_of_lamppost key add app --role citizen-app | field secret)
      asked=$(curl $LAMPPOST/open311/v2/requests.json -d api_key=$app -d service_code=waste -d description=full \\
        -d lat=32.02 -d long=118.75 | first)
      TOKEN=$(echo "$asked" | field reporter_token) ID=$(echo "$asked" | field service_request_id)
      for action in resolve close; do
        curl -H "Authorization: Bearer $LAMPPOST_ADMIN_KEY" $LAMPPOST/api/v1/tickets/$ID/$action --json '{}'
      done`,
  },
  'docs/start.md': { starts: true, programs: true, after: `${ARRIVED} '45'` },
};

const PROGRAMS: Readonly<Record<string, string>> = { python: '/usr/bin/python3', js: 'node --input-type=module' };

const runnable = (page: string) =>
  fencedBlocks(page).filter(
    ({ language }) => language === 'sh' || (READERS[page]?.programs && PROGRAMS[language] !== undefined),
  );

/**
 * The shell of a reader. `npm start` and `lamppost start` stay in the background until the next one; a secret or key
 * that a command prints is kept in `SECRET` or `KEY`; `curl` fails where the server refuses; what waits for events for
 * ever ends after two seconds.
 */
const SHELL = `
set -Eeuo pipefail
export LAMPPOST_ADMIN_KEY=a-key-for-a-reader-of-the-documents-0123
export HTTP_HOST=127.0.0.1 MQTT_HOST=127.0.0.1 LOG_LEVEL=error
export LAMPPOST_DATA=$PWD/data LAMPPOST_BACKUP_DIR=$PWD/backups LAMPPOST_CITY=${ROOT}city
export SMTP_URL=smtp://127.0.0.1:2525 SMTP_FROM=lamppost@city.example
KEY=$LAMPPOST_ADMIN_KEY SECRET=a-secret-of-the-documents LAMPPOST=http://127.0.0.1:8080 server=
mkdir -p backups
field() { node -pe 'JSON.parse(fs.readFileSync(0))[process.argv[1]]' "$1"; }
first() { node -pe 'JSON.stringify(JSON.parse(fs.readFileSync(0))[0])'; }
quietly() { "$@" >/dev/null 2>&1; }
stop_server() { [ -z "$server" ] || { kill "$server"; wait "$server" || true; server=; }; }
start_server() {
  stop_server
  command node ${BIN} start "$@" & server=$!
  until quietly command curl -sf $LAMPPOST/ready; do kill -0 $server; sleep 0.1; done
}
command_of_lamppost() { command node ${BIN} "$@"; }
remember() {
  local kind=$1; shift; echo "$*"
  case $kind in
    device) SECRET=$(echo "$*" | field secret) ;;
    key) KEY=$(echo "$*" | field secret); KEY_ID=$(echo "$*" | field id) ;;
  esac
}
lamppost() {
  case "$1 \${2:-}" in
    'start '*) shift; start_server "$@" ;;
    'device add' | 'key add') local printed; printed=$(command_of_lamppost "$@"); remember $1 "$printed" ;;
    rebuild*) stop_server; command_of_lamppost "$@" ;;
    *) command_of_lamppost "$@" ;;
  esac
}
npm() {
  case "$*" in
    ci) ;;
    start) start_server ;;
    'run -s '*) shift 2; local command=$1; shift; [ "$1" = -- ] && shift; lamppost "$command" "$@" ;;
    *) echo "no reader can run npm $*"; return 1 ;;
  esac
}
limited() { local code=0; timeout 2 "$@" || code=$?; [ $code = 124 ] || return $code; }
curl() {
  case " $* " in
    *' -N '*) limited curl -sS --fail-with-body "$@" ;;
    *) command curl -sS --fail-with-body "$@" ;;
  esac
}
mosquitto_sub() { limited mosquitto_sub "$@"; }
register() {
  local admin="Authorization: Bearer $LAMPPOST_ADMIN_KEY"
  quietly curl -X DELETE -H "$admin" $LAMPPOST/api/v1/devices/$1 || true
  quietly curl -H "$admin" $LAMPPOST/api/v1/devices \\
    --json '{"id": "'$1'", "profile": "'$2'", "district": "harbour", "secret": "'$SECRET'"}'
}
eventually() {
  until command curl -s -H "Authorization: Bearer $LAMPPOST_ADMIN_KEY" "$1" | grep -q -- "$2"; do sleep 0.1; done
}
nothing_refused() {
  command curl -s -H "Authorization: Bearer $LAMPPOST_ADMIN_KEY" $LAMPPOST/api/v1/quarantine
  [ "$(command curl -s -H "Authorization: Bearer $LAMPPOST_ADMIN_KEY" $LAMPPOST/api/v1/quarantine | field items)" = '[]' ]
}
trap 'echo "failed: $BASH_COMMAND"' ERR
trap stop_server EXIT
`;

/** Returns the script of one page: what comes before, its blocks, and what must be true then. */
function scriptOf(page: string, folder: string): string {
  const { before = '', between = '', after = '' } = READERS[page] ?? {};
  const [first = '', ...others] = runnable(page).map(
    (block) => `echo "# ${page}:${block.line}"\n${asShell(block, folder)}`,
  );
  return [`. ${folder}/shell.sh`, before, first, between, ...others, after].join('\n');
}

function asShell({ language, line, text }: Fenced, folder: string): string {
  const program = PROGRAMS[language];
  if (program === undefined) return text;
  const file = join(folder, `program-${line}`);
  writeFileSync(file, text);
  return `(export SECRET; cd ${ROOT}; ${program} < ${file})`;
}

/**
 * Runs pages one after another in an empty folder and a network of their own, where the documented ports are free.
 * Resolves to the pages that failed, and to all that was written.
 */
async function read(pages: readonly string[], options: { readonly server: boolean }): Promise<[string[], string]> {
  const folder = mkdtempSync(join(tmpdir(), 'lamppost-docs-'));
  writeFileSync(join(folder, 'shell.sh'), SHELL);
  for (const [i, page] of pages.entries()) writeFileSync(join(folder, `${i}.sh`), scriptOf(page, folder));
  const each = pages.map((page, i) => `timeout ${MOST_SECONDS} bash ${folder}/${i}.sh || echo "@@failed ${page}"`);
  const main = ['ip link set lo up', ...(options.server ? [`. ${folder}/shell.sh`, 'start_server'] : []), ...each];
  writeFileSync(join(folder, 'main.sh'), main.join('\n'));
  const output = await inNamespace(folder);
  expect(output).toContain(`# ${pages.at(-1)}:`);
  return [[...output.matchAll(/^@@failed (.*)$/gm)].map(([, page]) => page!), output];
}

function inNamespace(folder: string): Promise<string> {
  return new Promise((resolve) => {
    const args = [...APART, 'bash', join(folder, 'main.sh')];
    const env = { PATH: process.env.PATH, HOME: folder };
    const child = execFile('unshare', args, { cwd: folder, env }, (error, out, err) =>
      resolve(`${out}\n${err}\n${error?.message ?? ''}`),
    );
    endsWithUs(child);
  });
}

/** A page that waits for what never comes has failed: of several starts and commands, each has the patience. */
const MOST_SECONDS = (5 * PATIENCE_MS) / 1_000;

const withCommands = PAGES.filter((page) => runnable(page).length > 0);
const alone = withCommands.filter((page) => READERS[page]?.starts);

const hasPrograms = ['unshare', 'ip', 'curl', 'openssl', 'mosquitto_pub', 'python3'].every(has);

describe.skipIf(!hasPrograms)('docs', () => {
  test.concurrent.for(alone)('docs - the commands of %s run as they are written', async (page, { expect }) => {
    const [failed, output] = await read([page], { server: false });
    expect(failed, output).toEqual([]);
  });

  test.concurrent('docs - so do those of every other page, on one server', async ({ expect }) => {
    const others = withCommands.filter((page) => !alone.includes(page));
    const [failed, output] = await read(others, { server: true });
    expect(others.length).toBeGreaterThan(8);
    expect(failed, output).toEqual([]);
  });
});

test.skipIf(!has('g++'))(
  'docs - the sketch of start.md compiles, publishes each minute and keeps its connection',
  () => {
    const [sketch] = fencedBlocks('docs/start.md').filter(({ language }) => language === 'cpp');
    const [connected, ...published] = runSketch(sketch!.text, 200);
    expect(connected).toBe('connect bin-1 bin-1');
    const reading = 'devices/bin-1/readings {"metrics": {"fill": 46.0}}';
    expect(published).toEqual([1_000, 61_000, 121_000, 181_000].map((ms) => `${ms} ${reading}`));
  },
);
