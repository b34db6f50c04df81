import { SHELLS } from './completion.ts';
import { DEVICE } from './devices.ts';
import * as flags from './flags.ts';
import { KEY } from './keys.ts';
import { QUARANTINE } from './quarantine.ts';
import { command, type Group } from './spec.ts';
import { TICKET } from './tickets.ts';
import { USER } from './users.ts';

const RULES: Group = {
  about: 'For authors of rules.',
  commands: {
    test: command({
      ...{ about: 'runs the tests beside the rules', args: '[folder|file]', flags: flags.RULES_FOLDER },
      run: async (...all) => (await import('./rules.ts')).rulesTest(...all),
    }),
    check: command({
      ...{ about: 'looks for mistakes in the rules', args: '[folder|file]', flags: flags.RULES_FOLDER },
      run: async (...all) => (await import('./rules.ts')).rulesCheck(...all),
    }),
    schema: command({
      ...{ about: 'prints the JSON Schema of rule files, for editors', flags: {} },
      run: async () => (await import('./rules.ts')).rulesSchema(),
    }),
    suggest: command({
      ...{ about: 'suggests settings of threshold, jump and anomaly for a metric', flags: flags.RULES_SUGGEST },
      run: async (...all) => (await import('./suggest.ts')).suggestCommand(...all),
    }),
  },
};

/** Commands that talk to NATS, so that they work where no node responds. */
const CLUSTER: Group = {
  about: 'Nodes that follow one log over NATS (LAMPPOST_LOG).',
  commands: {
    status: command({
      about: 'prints the nodes and the log, also where no node responds',
      ...{ flags: flags.CLUSTER_STATUS, settings: true },
      run: async (...all) => (await import('./cluster.ts')).clusterStatus(...all),
    }),
    recover: command({
      about: 'puts blocks that NATS has lost back from the log of the node with the longest one; every node is stopped',
      ...{ flags: flags.CLUSTER_RECOVER, settings: true },
      run: async (...all) => (await import('./cluster.ts')).clusterRecover(...all),
    }),
  },
};

const FILES: Group['commands'] = {
  backup: command({
    ...{ about: 'backs up a running server without stopping it', flags: flags.BACKUP_NOW },
    run: async (...all) => (await import('./backup.ts')).backupCommand(...all),
  }),
  restore: command({
    about: 'makes a data folder from a backup, at a moment of the log where one is given',
    ...{ args: '<backup>', flags: flags.RESTORE },
    run: async (...all) => (await import('./restore.ts')).restoreCommand(...all),
  }),
  rebuild: command({
    ...{ about: 'makes the state anew from a backup and the log; the old one is kept', flags: flags.REBUILD },
    run: async (...all) => (await import('./rebuild.ts')).rebuildCommand(...all),
  }),
  verify: command({
    ...{ about: 'compares the state with one made anew from a backup and the log', flags: flags.REBUILD },
    run: async (...all) => (await import('./rebuild.ts')).verifyCommand(...all),
  }),
  repair: command({
    ...{ about: 'makes damaged files anew from a backup and the log', flags: flags.REPAIR },
    run: async (...all) => (await import('./repair.ts')).repairCommand(...all),
  }),
  audit: {
    about: 'The audit trail.',
    commands: {
      verify: command({
        ...{ about: 'checks the audit trail of a data folder or a backup', flags: flags.AUDIT_VERIFY },
        run: async (...all) => (await import('./audit.ts')).auditCommand(...all),
      }),
    },
  },
};

/** All commands of `lamppost`. A command loads its modules when it runs: `device add` does not wait for a server's. */
export const COMMANDS: Group = {
  about: "The backend of a city's sensors.",
  commands: {
    start: command({
      ...{ about: 'runs the server', flags: {}, settings: true },
      run: async (...all) => (await import('./start.ts')).start(...all),
    }),
    demo: command({
      about: 'runs the server with a simulated city; prints where to look, and a new admin key',
      ...{ flags: flags.DEMO, settings: true },
      run: async (...all) => (await import('./demo.ts')).demo(...all),
    }),
    doctor: command({
      about: 'checks settings, city folder and a running server; with --deep every file of a folder',
      ...{ flags: flags.DOCTOR, settings: true },
      run: async (...all) => (await import('./doctor.ts')).doctor(...all),
    }),
    login: command({
      ...{ about: 'keeps the address of a server and a key for later commands', flags: flags.LOGIN },
      run: async (...all) => (await import('./sign-in.ts')).login(...all),
    }),
    logout: command({
      ...{ about: 'forgets the saved login', flags: {} },
      run: async (_given, environment) => (await import('./sign-in.ts')).logout(environment),
    }),
    device: DEVICE,
    key: KEY,
    user: USER,
    ticket: TICKET,
    quarantine: QUARANTINE,
    rules: RULES,
    format: {
      about: 'Payload formats.',
      commands: {
        try: command({
          ...{ about: 'shows what a message becomes, path by path', args: '<file>', flags: flags.FORMAT_TRY },
          run: async (...all) => (await import('./format.ts')).formatCommand(...all),
        }),
      },
    },
    backtest: command({
      about: 'runs a rule over stored readings and prints the tickets that it would have opened',
      ...{ args: '[rule.yaml]', flags: flags.BACKTEST },
      run: async (...all) => (await import('./backtest.ts')).backtestCommand(...all),
    }),
    import: {
      about: 'Data of the past.',
      commands: {
        readings: command({
          about: 'sends readings of the past to a running server',
          ...{ args: '<file.csv|file.parquet|file.lp>', flags: flags.IMPORT_READINGS },
          run: async (...all) => (await import('./import.ts')).importCommand(...all),
        }),
      },
    },
    ...FILES,
    cluster: CLUSTER,
    simulate: command({
      ...{ about: 'sends the readings of a simulated or recorded city to a running server', flags: flags.SIMULATE },
      run: async ({ flags: given }, environment) => {
        const [{ simulate }, { loginFor }] = await Promise.all([
          import('../simulators/index.ts'),
          import('./client.ts'),
        ]);
        return simulate({ ...given, ...loginFor({ url: given.api, key: given.key }, environment) }, environment);
      },
    }),
    bench: command({
      ...{ about: 'measures throughput and latency; only from a checkout of the repository', flags: {}, raw: true },
      run: async ({ args }) => (await import('./start.ts')).bench(args),
    }),
    completion: command({
      ...{ about: 'prints a script that completes commands in a shell', args: `<${SHELLS.join('|')}>`, flags: {} },
      run: async ({ args }) => (await import('./completion.ts')).printCompletion(args[0]!, COMMANDS),
    }),
  },
};
