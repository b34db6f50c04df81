import { compile } from '@jmespath-community/jmespath';

type ExpressionNode = ReturnType<typeof compile>;
/** Reads a part of a decoded message; null where it is not there. */
type Read = (value: unknown) => unknown;

/** A compiled path of the language JMESPath. */
export interface Path {
  readonly text: string;
  readonly read: Read;
  /** The keys and indexes of a path that only goes down; null for every other expression. */
  readonly steps: readonly (string | number)[] | null;
}

const LONGEST = 512;
/** Items that the expressions of one message may look at. */
const MOST_ITEMS = 500_000;
let itemsLeft = MOST_ITEMS;

/** Thrown where the expressions of one message looked at too many items. */
export class PathExcess extends Error {
  constructor() {
    super(`its paths look at more than ${MOST_ITEMS} items of one message`);
  }
}

/** Gives the expressions of the next message their whole bound. */
export function beginPaths(): void {
  itemsLeft = MOST_ITEMS;
}

function spend(items: number): void {
  itemsLeft -= items;
  if (itemsLeft < 0) throw new PathExcess();
}

/**
 * Compiles a path. Returns the fault as a text where it is none. The grammar is JMESPath's own, read by its library.
 * Nothing here makes a value larger than what it was made of: what joins, merges or lists values is refused, so that
 * the work is linear in message and path. Where JMESPath raises an error about a type, the result is null.
 */
export function compilePath(text: string): Path | string {
  if (text.length > LONGEST) return `a path has at most ${LONGEST} characters`;
  try {
    const tree = compile(text);
    return { text, read: readerOf(tree), steps: stepsOf(tree) };
  } catch (error) {
    const why = error instanceof PathFault ? error.message : `it is no JMESPath: ${(error as Error).message}`;
    return `"${text}": ${why}; quote a key that has other characters than letters, digits and _: '"PM2.5"'`;
  }
}

class PathFault extends Error {}

function readerOf(node: ExpressionNode): Read {
  switch (node.type) {
    case 'Current':
    case 'Identity':
      return (value) => value ?? null;
    case 'Field':
      return fieldOf(node.name);
    case 'Index':
      return indexOf(node.value);
    case 'Literal':
      return literalOf(node.value);
    case 'Subexpression':
    case 'IndexExpression':
    case 'Pipe':
      return chained(readerOf(node.left), readerOf(node.right));
    case 'Comparator':
      return comparing(node.name, readerOf(node.left), readerOf(node.right));
    case 'AndExpression':
    case 'OrExpression':
      return either(node.type === 'OrExpression', readerOf(node.left), readerOf(node.right));
    case 'NotExpression':
      return negated(readerOf(node.child));
    case 'Projection':
    case 'ValueProjection':
      return projection(readerOf(node.left), readerOf(node.right), node.type === 'ValueProjection');
    case 'FilterProjection':
      return filtered(readerOf(node.left), readerOf(node.right), readerOf(node.condition));
    case 'Flatten':
      return flattened(readerOf(node.child));
    case 'Arithmetic':
      return arithmetic(node.operator, readerOf(node.left), readerOf(node.right));
    case 'Unary':
      return chained(readerOf(node.operand), (value) =>
        typeof value === 'number' ? signed(node.operator, value) : null,
      );
    case 'Function':
      return called(node.name, node.children.map(readerOf));
    default:
      throw new PathFault(`${node.type} is not offered here`);
  }
}

/** Properties that every object has are looked for among its own only. */
function fieldOf(name: string): Read {
  const inherited = name in Object.prototype;
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    if (inherited && !Object.hasOwn(value, name)) return null;
    return (value as Record<string, unknown>)[name] ?? null;
  };
}

function indexOf(index: number): Read {
  return (value) => (Array.isArray(value) ? (value.at(index) ?? null) : null);
}

/** A list as literal would be read again for each item that a filter looks at. */
function literalOf(value: unknown): Read {
  if (typeof value === 'object' && value !== null) throw new PathFault('a literal is a text, a number, true or false');
  return () => value;
}

function chained(left: Read, right: Read): Read {
  return (value) => right(left(value));
}

function negated(read: Read): Read {
  return (value) => !isTrue(read(value));
}

function either(or: boolean, left: Read, right: Read): Read {
  return (value) => {
    const first = left(value);
    return isTrue(first) === or ? first : right(value);
  };
}

/** JMESPath: false are null, false, and empty texts, lists and objects. */
export function isTrue(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return false;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value !== 'object') return true;
  for (const _ in value) return true;
  return false;
}

function comparing(name: string, left: Read, right: Read): Read {
  if (name === 'EQ') return (value) => same(left(value), right(value));
  if (name === 'NE') return (value) => !same(left(value), right(value));
  const compare = ORDER[name]!;
  return (value) => {
    const [a, b] = [left(value), right(value)];
    return typeof a === 'number' && typeof b === 'number' ? compare(a, b) : null;
  };
}

const ORDER: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  GT: (a, b) => a > b,
  GTE: (a, b) => a >= b,
  LT: (a, b) => a < b,
  LTE: (a, b) => a <= b,
};

/** Of lists and objects only the same one is equal: paths compare texts, numbers and truths. */
function same(a: unknown, b: unknown): boolean {
  return a === b;
}

function projection(left: Read, right: Read, ofObject: boolean): Read {
  return (value) => {
    const found = left(value);
    const items = ofObject ? membersOf(found) : found;
    return Array.isArray(items) ? mapped(items, right) : null;
  };
}

function membersOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.values(value) : null;
}

function filtered(left: Read, right: Read, condition: Read): Read {
  return (value) => {
    const items = left(value);
    if (!Array.isArray(items)) return null;
    spend(items.length);
    return mapped(
      items.filter((item) => isTrue(condition(item))),
      right,
    );
  };
}

function mapped(items: readonly unknown[], read: Read): unknown[] {
  spend(items.length);
  return items.map(read).filter((item) => item !== null && item !== undefined);
}

function flattened(read: Read): Read {
  return (value) => {
    const items = read(value);
    if (!Array.isArray(items)) return null;
    const flat = items.flat();
    spend(flat.length);
    return flat;
  };
}

function arithmetic(operator: string, left: Read, right: Read): Read {
  const apply = OPERATIONS[operator];
  if (apply === undefined) throw new PathFault(`the operator ${operator} is not offered here`);
  return (value) => {
    const [a, b] = [left(value), right(value)];
    return typeof a === 'number' && typeof b === 'number' ? apply(a, b) : null;
  };
}

const OPERATIONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  Plus: (a, b) => a + b,
  Minus: (a, b) => a - b,
  Multiply: (a, b) => a * b,
  Star: (a, b) => a * b,
  Divide: (a, b) => a / b,
  Modulo: (a, b) => a % b,
  Div: (a, b) => Math.floor(a / b),
};

const signed = (operator: string, value: number): number => (operator === 'Minus' ? -value : value);

function called(name: string, parameters: readonly Read[]): Read {
  const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name]! : null;
  if (call === null)
    throw new PathFault(`the function ${name} is not offered; ${Object.keys(FUNCTIONS).join(', ')} are`);
  if (name === 'not_null') return firstOf(parameters);
  return (value) => {
    const result = call(...parameters.map((read) => read(value)));
    if (Array.isArray(result)) spend(result.length);
    return result ?? null;
  };
}

/** `not_null` reads no further than it must. */
function firstOf(parameters: readonly Read[]): Read {
  return (value) => {
    for (const read of parameters) {
      const found = read(value);
      if (found !== null && found !== undefined) return found;
    }
    return null;
  };
}

function stepsOf(node: ExpressionNode): readonly (string | number)[] | null {
  if (node.type === 'Current' || node.type === 'Identity') return [];
  if (node.type === 'Field') return [node.name];
  if (node.type === 'Index') return node.value < 0 ? null : [node.value];
  if (node.type !== 'Subexpression' && node.type !== 'IndexExpression') return null;
  const [left, right] = [stepsOf(node.left), stepsOf(node.right)];
  return left === null || right === null ? null : [...left, ...right];
}

type Call = (...values: readonly unknown[]) => unknown;

/**
 * The functions of JMESPath that paths may call. None of them makes more than it was given. They return null for values
 * of another type, where JMESPath raises an error.
 */
const FUNCTIONS: Readonly<Record<string, Call>> = {
  abs: ofNumber(Math.abs),
  avg: ofNumbers((all) => (all.length === 0 ? null : sumOf(all) / all.length)),
  ceil: ofNumber(Math.ceil),
  contains: (all, one) => (isText(all) ? isText(one) && all.includes(one) : isList(all) && all.includes(one)),
  ends_with: (text, end) => isText(text) && isText(end) && text.endsWith(end),
  floor: ofNumber(Math.floor),
  keys: (value) => (isMap(value) ? Object.keys(value) : null),
  length: (value) => (isText(value) ? [...value].length : sizeOf(value)),
  lower: (text) => (isText(text) ? text.toLowerCase() : null),
  max: ofNumbers((all) => all.reduce<number | null>((most, one) => (most === null || one > most ? one : most), null)),
  min: ofNumbers((all) =>
    all.reduce<number | null>((least, one) => (least === null || one < least ? one : least), null),
  ),
  not_null: (...values) => values.find((value) => value !== null && value !== undefined),
  split: (text, at) => (isText(text) && isText(at) ? text.split(at) : null),
  starts_with: (text, start) => isText(text) && isText(start) && text.startsWith(start),
  sum: ofNumbers(sumOf),
  to_number: (value) => (isText(value) ? numberOf(value) : isNumber(value) ? value : null),
  type: (value) => (value === null || value === undefined ? 'null' : isList(value) ? 'array' : typeof value),
  upper: (text) => (isText(text) ? text.toUpperCase() : null),
  values: (value) => (isMap(value) ? Object.values(value) : null),
};

/** A number as JSON writes it. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

function numberOf(text: string): number | null {
  return NUMBER.test(text) ? Number(text) : null;
}

function ofNumber(apply: (value: number) => number): Call {
  return (value) => (isNumber(value) ? apply(value) : null);
}

function ofNumbers(apply: (all: readonly number[]) => number | null): Call {
  return (all) => (isList(all) && all.every(isNumber) ? apply(all) : null);
}

function sumOf(all: readonly number[]): number {
  return all.reduce((sum, one) => sum + one, 0);
}

function sizeOf(value: unknown): number | null {
  if (isList(value)) return value.length;
  return isMap(value) ? Object.keys(value).length : null;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => typeof value === 'number';
const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);
const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
