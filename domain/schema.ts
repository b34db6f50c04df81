import type { z } from 'zod';

type DeepReadonly<T> = T extends (...args: never[]) => unknown
  ? T
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/**
 * The type of a schema's values, read-only at every depth: a shape that crosses an edge is written once, as its schema.
 */
export type ShapeOf<S extends z.ZodType> = DeepReadonly<z.output<S>>;
