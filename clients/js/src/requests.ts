import { TagcastError } from './errors.js';
import type { Clock, Offline, Options } from './types.js';

/** Whether the server remembers the ids of such requests, so that one that is sent twice is carried out once. */
const isRepeatable = ({ op }: Request) => op === 'pub' || op === 'tag';
/** How far the ids of unanswered requests may be apart: the server remembers the latest 256. */
const WINDOW = 255;

/** How a request is to be treated. */
export interface Treatment {
  offline?: Offline;
  /** Sends it again even if the server may have carried it out already. */
  repeat?: boolean;
  /** How long its answer may take after it was sent, in ms. */
  timeout?: number;
  signal?: AbortSignal;
}

interface Request {
  id: number;
  op: string;
  text: string;
  bytes: number;
  madeAt: number;
  repeat?: boolean;
  timeout: number;
  timer?: unknown;
  /** Forgets the signal that would abort it. */
  unlisten?(): void;
  resolve(answer: any): void;
  reject(error: unknown): void;
}

export interface Requests {
  add(op: string, members: object, treatment: Treatment): Promise<any>;
  /** Settles the request that this frame answers. */
  settle(frame: any): void;
  /** The connection is usable. `kept`: the server still knows the ids of this client. */
  online(kept: boolean, messageLimit: number): void;
  /** The connection was lost. */
  offline(): void;
  /** Nothing will be sent any more: fails everything. */
  close(): void;
}

/** Requests in the order of their ids: those that were sent and have no answer, and those that wait. */
export function requests(options: Options, clock: Clock, send: (text: string) => void): Requests {
  const { count = 100, bytes = 262_144, age = 60_000 } = options.queue ?? {};
  const sent = new Map<number, Request>();
  const waiting = new Set<Request>();
  let waitingBytes = 0;
  let lastId = 0;
  let isOnline = false;
  let messageLimit = Infinity;

  const leaveQueue = (request: Request) => {
    if (waiting.delete(request)) waitingBytes -= request.bytes;
  };

  /** Takes a request out; the caller settles it. */
  const finish = (request: Request) => {
    clock.clearTimeout(request.timer);
    request.unlisten?.();
    leaveQueue(request);
    sent.delete(request.id);
    return request;
  };

  const fail = (request: Request, code: string, retry?: boolean) => {
    finish(request).reject(new TagcastError({ code, retry }));
  };

  const transmit = (request: Request) => {
    leaveQueue(request);
    sent.set(request.id, request);
    request.timer = clock.setTimeout(
      () => fail(request, 'timeout', true), request.timeout);
    send(request.text);
  };

  const hasRoom = (id: number) => {
    for (const oldest of sent.values()) {
      if (isRepeatable(oldest)) return id - oldest.id <= WINDOW;
    }
    return true;
  };

  const flush = () => {
    for (const request of waiting) {
      if (!isOnline || !hasRoom(request.id)) return;
      if (clock.Date.now() - request.madeAt > age) {
        fail(request, 'queue_expired', true);
      } else if (request.bytes > messageLimit) {
        fail(request, 'payload_too_large');
      } else {
        transmit(request);
      }
    }
  };

  return {
    add: (op, members, { offline, repeat, timeout = options.timeout ?? 10_000, signal }) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        if (!isOnline && offline === 'drop') return resolve({ dropped: true });
        const id = ++lastId;
        // Written at once, so that the caller may change its data afterwards.
        const text = JSON.stringify({ op, id, ...members });
        const size = new TextEncoder().encode(text).length;
        const request: Request =
          { id, op, text, bytes: size, madeAt: clock.Date.now(), repeat, timeout, resolve, reject };
        if (!isOnline && offline !== 'queue') {
          return fail(request, 'offline', true);
        }
        waiting.add(request);
        waitingBytes += size;
        flush();
        if (waiting.has(request) && (waiting.size > count || waitingBytes > bytes)) {
          return fail(request, 'queue_full', true);
        }
        if (signal) {
          const abort = () => finish(request).reject(signal.reason);
          signal.addEventListener('abort', abort);
          request.unlisten = () => signal.removeEventListener('abort', abort);
        }
      }),
    settle({ op, ...members }) {
      const request = sent.get(members.id);
      if (!request) return;
      finish(request);
      if (op === 'error') request.reject(new TagcastError(members));
      else request.resolve(members);
      flush();
    },
    online(kept, limit) {
      isOnline = true;
      messageLimit = limit;
      for (const request of [...sent.values()]) {
        if (kept || request.repeat) transmit(request);
        else fail(request, 'unknown');
      }
      flush();
    },
    offline() {
      isOnline = false;
      for (const request of [...sent.values()]) {
        clock.clearTimeout(request.timer);
        if (!isRepeatable(request)) fail(request, 'lost', true);
      }
    },
    close() {
      for (const request of [...sent.values(), ...waiting]) {
        fail(request, 'closed');
      }
    },
  };
}
