import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { LamppostError } from '../domain/index.ts';
import { PRIVATE_FILE } from '../store/index.ts';

/** The file of a data folder that says whose it is. */
export const IDENTITY_FILE = 'node.json';

const File = z.object({ installation: z.uuid(), node: z.string() });

/** Who a process of a cluster is. */
export interface NodeIdentity {
  readonly node: string;
  /** Of the data folder: the same after a restart. */
  readonly installation: string;
  /** Of this process and no other one. */
  readonly run: string;
}

/**
 * Returns who this process is, over a data folder that belongs to it (its lock is held); the first start of the folder
 * writes that into it. Throws `config` where the folder is that of a node of another name.
 */
export function identityOf(dir: string, node: string): NodeIdentity {
  const path = join(dir, IDENTITY_FILE);
  const run = randomUUID();
  if (existsSync(path)) {
    const known = File.safeParse(parse(readFileSync(path, 'utf8')));
    if (known.success && known.data.node !== node)
      throw new LamppostError(
        'config',
        `LAMPPOST_NODE: ${dir} is the data folder of node ${known.data.node}, and this is node ${node}: ` +
          `set LAMPPOST_NODE=${known.data.node}, or name a folder of its own with LAMPPOST_DATA. ` +
          `If the folder is a copy, or the node has a new name, delete ${path}`,
      );
    if (known.success) return { node, installation: known.data.installation, run };
  }
  const installation = randomUUID();
  writeFileSync(`${path}.part`, `${JSON.stringify({ installation, node })}\n`, { mode: PRIVATE_FILE, flush: true });
  renameSync(`${path}.part`, path);
  return { node, installation, run };
}

/** A file that a power loss left half written says nothing. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
