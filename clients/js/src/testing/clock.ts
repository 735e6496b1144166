import type { Clock } from '../types.js';

/** A clock that a test moves. Pass it to `connect` as `clock`. */
export interface TestClock extends Clock {
  /** Moves the clock and runs, one after the other, what becomes due. */
  advance(ms: number): Promise<void>;
  /** Moves the clock and runs nothing, as when a machine sleeps. The next `advance` runs what is overdue. */
  jump(ms: number): void;
}

// A test may replace the timers of the environment.
const realTimeout = globalThis.setTimeout;

/** Lets everything run that waits for no timer. */
export const settle = (): Promise<void> => new Promise(done => { realTimeout(done); });

/**
 * Makes a clock. `now` is its Unix time in ms, `random` what it returns as a random number: with 0.5 every pause is
 * half of the longest that it could be.
 */
export function testClock({ now = 0, random = 0.5 }: { now?: number; random?: number } = {}): TestClock {
  const timers = new Map<number, { at: number; run: () => void }>();
  let last = 0;

  const due = (end: number) => {
    let next: [number, { at: number; run: () => void }] | undefined;
    for (const timer of timers) {
      // Of timers that are due at the same time the older one runs first.
      if (timer[1].at <= end && (!next || timer[1].at < next[1].at)) next = timer;
    }
    return next;
  };

  return {
    Date: { now: () => now },
    Math: { random: () => random },
    setTimeout(run, ms) {
      timers.set(++last, { at: now + Math.max(0, ms), run });
      return last;
    },
    clearTimeout: timer => {
      timers.delete(timer as number);
    },
    async advance(ms) {
      const end = now + ms;
      await settle();
      for (let next = due(end); next; next = due(end)) {
        const [id, { at, run }] = next;
        timers.delete(id);
        now = Math.max(now, at);
        run();
        await settle();
      }
      now = end;
    },
    jump(ms) {
      now += ms;
    },
  };
}
