import type { Clock, Off } from './types.js';

type Handler = (data: unknown, context: { signal: AbortSignal }) => unknown;

export interface Answers {
  add(event: string, handler: Handler): Off;
  /** A question of the server. */
  asked(frame: any): void;
  /** The connection was lost: what is not answered cannot be answered any more. */
  lost(): void;
}

/** Handlers of questions. One for each event; without one the answer is the error `unhandled`. */
export function answers(clock: Clock, send: (text: string) => void): Answers {
  const handlers = new Map<string, Handler>();
  const open = new Set<AbortController>();

  return {
    add(event, handler) {
      handlers.set(event, handler);
      return () => {
        if (handlers.get(event) === handler) handlers.delete(event);
      };
    },
    async asked({ ask, event = 'message', timeout_ms: timeout, data }) {
      const asking = new AbortController();
      const timer = clock.setTimeout(() => asking.abort(), timeout);
      open.add(asking);
      const write = (answer: object) => JSON.stringify({ op: 'answer', ask, ...answer });
      let text: string;
      try {
        const handler = handlers.get(event);
        if (!handler) throw 'unhandled';
        text = write({ data: (await handler(data, { signal: asking.signal })) ?? null });
      } catch (error) {
        text = write({ error: `${(error as Error)?.message ?? error}` });
      }
      clock.clearTimeout(timer);
      open.delete(asking);
      if (!asking.signal.aborted) send(text);
    },
    lost() {
      for (const asking of open) asking.abort();
      open.clear();
    },
  };
}
