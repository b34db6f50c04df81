import {
  Composer,
  type CST,
  type Document,
  isCollection,
  isMap,
  isScalar,
  Lexer,
  LineCounter,
  Parser,
  visit,
} from 'yaml';
import { excessOf, MOST_LEVELS } from '../domain/index.ts';

/** What a text may have. Real texts are far below; what is above is refused before it costs more than reading it. */
export interface YamlBounds {
  readonly characters: number;
  /** Tokens of YAML: about seven for a key with its value. */
  readonly tokens: number;
  readonly aliases: number;
  /** Values, where each alias counts as what it stands for. */
  readonly values: number;
}

/** A file of the city folder, which its operator wrote. */
export const FILE_BOUNDS: YamlBounds = { characters: 64e6, tokens: 4e6, aliases: 1_000, values: 1e6 };
/** A rule that came over HTTP. */
export const RULE_BOUNDS: YamlBounds = { characters: 100_000, tokens: 10_000, aliases: 100, values: 10_000 };

/** A mistake and its offset in the text. */
export interface YamlFault {
  readonly offset: number;
  readonly message: string;
}

/** A text that was read: what is in it, where it is, and all mistakes of syntax. */
export interface ReadYaml {
  /** Null where the text is past a bound. */
  readonly document: Document | null;
  readonly faults: readonly YamlFault[];
  /** Undefined where there are faults. */
  readonly value: unknown;
  readonly lines: LineCounter;
}

/** After as many errors the rest of a text is not read. */
const MOST_ERRORS = 20;
const OPTIONS = {
  prettyErrors: false,
  logLevel: 'error',
  // Without the tags of YAML 1.1: a chain of its merges grows exponentially.
  schema: 'core',
  resolveKnownTags: false,
  // Its own check compares every key with every other.
  uniqueKeys: false,
} as const;

/**
 * Reads one text of YAML, as YAML 1.2. The work is linear in the text, and ends at the first bound that it passes; then
 * that is the only fault. Never throws.
 */
export function readYaml(text: string, bounds: YamlBounds = FILE_BOUNDS): ReadYaml {
  const lines = new LineCounter();
  const past = (fault: YamlFault): ReadYaml => ({ document: null, faults: [fault], value: undefined, lines });
  if (text.length > bounds.characters) {
    return past({ offset: 0, message: `more than ${bounds.characters} characters` });
  }
  const tokens = tokensOf(text, lines, bounds);
  if ('message' in tokens) return past(tokens);
  const deep = depthFault(tokens);
  if (deep !== null) return past(deep);
  const document = documentOf(tokens, lines, text.length);
  const faults = [
    ...document.errors.slice(0, MOST_ERRORS).map(({ pos, message }) => ({ offset: pos[0], message })),
    ...namesIn(document),
  ];
  if (faults.length > 0) return { document, faults, value: undefined, lines };
  return readValue(document, lines, bounds);
}

function readValue(document: Document, lines: LineCounter, bounds: YamlBounds): ReadYaml {
  try {
    // An alias becomes the same object as what it stands for, so nothing is written out here.
    const value: unknown = document.toJS({ maxAliasCount: -1 });
    const excess = excessOf(value, MOST_LEVELS, bounds.values);
    if (excess === null) return { document, faults: [], value, lines };
    const message = excess === 'depth' ? DEEP : `more than ${bounds.values} values, with aliases written out`;
    return { document, faults: [{ offset: 0, message }], value: undefined, lines };
  } catch (error) {
    return { document, faults: [{ offset: 0, message: (error as Error).message }], value: undefined, lines };
  }
}

const DEEP = `nested deeper than ${MOST_LEVELS} levels`;

/** Parses a text as far as it is within the bound, and has not too many errors. Returns a fault where it is past it. */
function tokensOf(text: string, lines: LineCounter, bounds: YamlBounds): CST.Token[] | YamlFault {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  const meter = new Meter(bounds);
  let errors = 0;
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    const excess = meter.excess(lexeme);
    if (excess !== null) return { offset: meter.offset, message: excess };
    meter.pass(lexeme);
    for (const token of parser.next(lexeme)) {
      tokens.push(token);
      if (token.type === 'error') errors++;
    }
    if (errors > MOST_ERRORS) break;
  }
  for (const token of parser.end()) tokens.push(token);
  return tokens;
}

/** Comes before the text of a scalar. */
const SCALAR = '\u001f';
/** Lexemes that stand for nothing in the text: the begin of a document and of a scalar, the end of a broken one. */
const CONTROL: ReadonlySet<string> = new Set(['\u0002', SCALAR, '\u0018']);
const STEPS: ReadonlyMap<string, number> = new Map([
  ['[', 1],
  ['{', 1],
  [']', -1],
  ['}', -1],
]);

/** Counts what the lexer finds. */
class Meter {
  /** Where the next lexeme begins in the text. */
  offset = 0;
  readonly #bounds: YamlBounds;
  #tokens = 0;
  #aliases = 0;
  #depth = 0;
  #before = '';

  constructor(bounds: YamlBounds) {
    this.#bounds = bounds;
  }

  /** Returns why a lexeme is past a bound; null where it is not. */
  excess(lexeme: string): string | null {
    const { tokens, aliases } = this.#bounds;
    if (++this.#tokens > tokens) return `more than ${tokens} tokens of YAML; this is where they end`;
    if (this.#before === SCALAR) return null;
    if (lexeme[0] === '*' && ++this.#aliases > aliases) {
      return `more than ${aliases} aliases; write out what they stand for`;
    }
    this.#depth = Math.max(0, this.#depth + (STEPS.get(lexeme) ?? 0));
    return this.#depth > MOST_LEVELS ? DEEP : null;
  }

  pass(lexeme: string): void {
    if (!CONTROL.has(lexeme)) this.offset += lexeme.length;
    this.#before = lexeme;
  }
}

/** Counts the levels of blocks, too, and without recursion. */
function depthFault(tokens: readonly CST.Token[]): YamlFault | null {
  const open: (readonly [token: CST.Token, depth: number])[] = tokens.map((token) => [token, 0]);
  for (let top = open.pop(); top !== undefined; top = open.pop()) {
    const [token, depth] = top;
    if (depth > MOST_LEVELS) return { offset: 'offset' in token ? token.offset : 0, message: DEEP };
    if (token.type === 'document' && token.value !== undefined) open.push([token.value, depth]);
    if (!('items' in token)) continue;
    for (const { key, value } of token.items) {
      if (key != null) open.push([key, depth + 1]);
      if (value !== undefined) open.push([value, depth + 1]);
    }
  }
  return null;
}

function documentOf(tokens: readonly CST.Token[], lines: LineCounter, end: number): Document {
  const composer = new Composer({ ...OPTIONS, lineCounter: lines });
  const [document, second] = composer.compose(tokens, true, end);
  if (second !== undefined) {
    const message = 'a second document begins here; a file has one';
    document!.errors.push({ pos: [second.range[0], second.range[1]], message } as Document['errors'][number]);
  }
  return document!;
}

/** Keys that occur twice in a map, and aliases without an anchor before them. */
function namesIn(document: Document): YamlFault[] {
  const faults: YamlFault[] = [];
  const anchors = new Set<string>();
  const fault = (node: { range?: readonly number[] | null }, message: string) => {
    faults.push({ offset: node.range?.[0] ?? 0, message });
    return faults.length < MOST_ERRORS ? undefined : visit.BREAK;
  };
  visit(document, {
    Alias(_, node) {
      if (anchors.has(node.source)) return undefined;
      const name = node.source.slice(0, 60);
      return fault(node, `*${name} has no anchor; &${name} must come before it`);
    },
    Node(_, node) {
      if ((isScalar(node) || isCollection(node)) && node.anchor !== undefined) anchors.add(node.anchor);
      if (!isMap(node)) return undefined;
      const keys = new Set<unknown>();
      for (const { key } of node.items) {
        if (!isScalar(key)) continue;
        if (keys.has(key.value)) return fault(key, 'Map keys must be unique');
        keys.add(key.value);
      }
      return undefined;
    },
  });
  return faults;
}
