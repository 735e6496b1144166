import { report } from './errors.js';
import type { HandlerOptions, Off } from './types.js';

export interface Listeners<A extends unknown[]> {
  /** Adds a handler. `removed` is called once, when it is removed. */
  add(run: (...args: A) => void, options?: HandlerOptions, removed?: () => void): Off;
  call(...args: A): void;
}

/** Handlers, called in the order in which they were added. One that throws disturbs no other. */
export function listeners<A extends unknown[]>(): Listeners<A> {
  const all = new Set<{ run: (...args: A) => void }>();
  return {
    add(run, { signal } = {}, removed) {
      // An object of its own, because the same function may be added twice.
      const entry = { run };
      const off = () => {
        signal?.removeEventListener('abort', off);
        if (all.delete(entry)) removed?.();
      };
      all.add(entry);
      signal?.addEventListener('abort', off);
      if (signal?.aborted) off();
      return off;
    },
    call(...args) {
      for (const entry of [...all]) {
        if (!all.has(entry)) continue; // An earlier handler has removed it.
        try {
          entry.run(...args);
        } catch (error) {
          report(error);
        }
      }
    },
  };
}
