/** Counters that threads share without messages: places in one shared array of 32-bit integers, which may wrap. */

/** 1 while anybody is subscribed to live readings. Written by the broker's thread. */
export const LIVE = 0;
/** Messages committed since the start. Written by the journal's thread. */
export const COMMITTED = 1;
/** Messages since the start that the rules have taken. Written by the engine's thread. */
export const DECIDED = 2;

/** Returns the shared array, all zero. */
export const createSharedCounters = () => new Int32Array(new SharedArrayBuffer(12));
