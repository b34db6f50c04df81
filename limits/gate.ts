/** How many things may be open at once. */
export interface GateLimits {
  readonly perHolder: number;
  readonly total: number;
}

/** Counts things that are open at once: streams, queries, connections. */
export interface Gate {
  /**
   * Opens one more of a holder; returns the function that closes it (calling it again does nothing), or null where the
   * holder has reached its limit, or all places are taken. Where all are taken and another holder has at least two more
   * than this one, `giveWay` of that holder's newest is called and its place is passed on.
   */
  enter(who: string, giveWay?: () => void): (() => void) | null;
  /** Returns how many a holder has open. */
  count(who: string): number;
  /** The number of all that are open. */
  readonly size: number;
}

interface Place {
  readonly who: string;
  readonly giveWay: (() => void) | undefined;
}

/** Returns a gate with nothing open. */
export function createGate({ perHolder, total }: GateLimits): Gate {
  const holders = new Map<string, Set<Place>>();
  let size = 0;

  function leave(place: Place): void {
    const own = holders.get(place.who);
    if (own?.delete(place) !== true) return;
    size--;
    if (own.size === 0) holders.delete(place.who);
  }

  /** Takes a place from the holder of the most that can give way; false where that would not be fairer. */
  function makeRoom(count: number): boolean {
    let heaviest: Set<Place> | null = null;
    for (const own of holders.values()) if (own.size > (heaviest?.size ?? 0)) heaviest = own;
    if (heaviest === null || heaviest.size < count + 2) return false;
    const place = [...heaviest].findLast(({ giveWay }) => giveWay !== undefined);
    if (place === undefined) return false;
    leave(place);
    place.giveWay!();
    return true;
  }

  const count = (who: string) => holders.get(who)?.size ?? 0;

  return {
    enter(who, giveWay) {
      const own = count(who);
      if (own >= perHolder) return null;
      if (size >= total && !makeRoom(own)) return null;
      const place = { who, giveWay };
      holders.set(who, (holders.get(who) ?? new Set()).add(place));
      size++;
      return () => leave(place);
    },
    count,
    get size() {
      return size;
    },
  };
}
