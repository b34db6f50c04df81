/**
 * Numbers of many series in few large arrays: a typed array of its own for each would cost more than what it holds. A series has
 * a fixed number of places in one chunk.
 */
export interface Place {
  readonly numbers: Float64Array;
  /** The same bytes as whole numbers: two to a number. */
  readonly counts: Uint32Array;
  /** Index of its first number. */
  readonly base: number;
}

const slabs = new Map<number, Slab>();

/** The slab for places of this size, shared by all series of all rules: what is read together lies together. */
export function slabOf(size: number): Slab {
  let slab = slabs.get(size);
  if (slab === undefined) {
    slab = new Slab(size);
    slabs.set(size, slab);
  }
  return slab;
}

/** Hands out places of one size, those given back first. */
export class Slab {
  readonly #size: number;
  readonly #free: Place[] = [];
  #chunk: Place | null = null;
  #used = 0;
  #capacity = 1;

  constructor(size: number) {
    this.#size = size;
  }

  /** A place with zeros in it. */
  take(): Place {
    const known = this.#free.pop();
    if (known !== undefined) {
      known.numbers.fill(0, known.base, known.base + this.#size);
      return known;
    }
    if (this.#chunk === null || this.#used === this.#capacity) this.#grow();
    return { ...this.#chunk!, base: this.#size * this.#used++ };
  }

  giveBack(place: Place): void {
    this.#free.push(place);
  }

  // The first chunks are small: most rules have few series.
  #grow(): void {
    this.#capacity = Math.min(2 * this.#capacity, 256);
    const numbers = new Float64Array(this.#size * this.#capacity);
    this.#chunk = { numbers, counts: new Uint32Array(numbers.buffer), base: 0 };
    this.#used = 0;
  }
}
