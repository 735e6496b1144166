import type { Clock, Options, Status, TokenReason, WebSocketLike } from './types.js';

/** The code of a connection that ended without a Close frame, as in RFC 6455 7.1.5. */
const ABNORMAL = 1006;
const UNAUTHORIZED = 4009;
const TOKEN_EXPIRED = 4110;
/** How long after a ping of the server is due the connection is given up, in ms. */
const SILENCE = 10_000;
/** How long an answer to a ping of the client may take, in ms. */
const PROBE = 3_000;

const ignore = () => {};

/** What the connection needs from the rest of the client. */
export interface Owner {
  token(reason: TokenReason): string | undefined | Promise<string | undefined>;
  hello(token: string | undefined): object;
  /** The connection is usable. Reports the change of the status itself, after what must be sent first. */
  welcome(frame: any): void;
  frame(frame: any): void;
  /** The connection is no longer usable; `changed` follows. */
  lost(): void;
  ended(): void;
  changed(): void;
  ping(): void;
}

export interface Connection {
  readonly status: Status;
  /** Connects at once, unless a connection exists or is being made. */
  open(): void;
  send(frame: string): void;
  /** Connects at once if it waits for the next attempt. */
  wake(): void;
  /** If it is online, asks the server for a sign of life. */
  doubt(): void;
  /** Gives the connection up, because the page is hidden. The server regards the client as away. */
  suspend(): void;
  /** Ends the client. */
  close(): void;
}

/**
 * One socket at a time: opens it, watches it, gives it up and opens the next one.
 *
 * A socket that is given up loses its handlers first. Nothing waits for its `onclose`, which can take minutes.
 */
export function connection(url: string, options: Options, clock: Clock, owner: Owner): Connection {
  const { min = 500, max = 20_000, stable = 10_000 } = options.backoff ?? {};
  const canRefresh = typeof options.token === 'function';
  const Socket: Options['WebSocket'] = options.WebSocket ?? globalThis.WebSocket;
  if (!Socket) throw new TypeError('the option WebSocket is missing');

  let status: Status = { state: 'idle', attempt: 0 };
  let socket: WebSocketLike | undefined;
  /** Attempts since a connection was stable. */
  let attempt = 0;
  let onlineAt = Infinity;
  let silence = 0;
  let heardAt = 0;
  let heard = 0;
  /** Whether a new token was already tried since the last `welcome`. */
  let refreshed = false;
  /** The one thing that is waited for: the next attempt, `welcome`, or the next frame. */
  let timer: unknown;

  const after = (ms: number, run: () => void) => {
    clock.clearTimeout(timer);
    timer = clock.setTimeout(run, ms);
  };

  const isActive = () => status.state === 'online' || status.state === 'connecting';

  const change = (next: Status) => {
    status = next;
    owner.changed();
  };

  /** Forgets the socket. Without a code the server regards the client as away, with 1000 as ended. */
  const drop = (code?: number) => {
    clock.clearTimeout(timer);
    const dropped = socket;
    socket = undefined;
    // A connection that dies at once must not reset the pauses.
    if (clock.Date.now() - onlineAt >= stable) attempt = 0;
    onlineAt = Infinity;
    if (!dropped) return;
    // Not null: `ws` emits an error where a socket is closed that is not open yet.
    dropped.onopen = dropped.onmessage = dropped.onclose = dropped.onerror = ignore;
    dropped.close(code);
  };

  const connect = async (reason: TokenReason = 'connect') => {
    const mine: Status = { state: 'connecting', attempt };
    after(options.timeout ?? 10_000, () => lost(ABNORMAL, 'no welcome'));
    change(mine);
    try {
      const token = await owner.token(reason);
      if (status !== mine) return;
      const opened = new Socket(url, ['tagcast.v1']);
      socket = opened;
      opened.onopen = () => opened.send(JSON.stringify(owner.hello(token)));
      opened.onmessage = ({ data }) => receive(data);
      opened.onclose = ({ code, reason }) => lost(code, reason);
      opened.onerror = ignore; // `onclose` follows.
    } catch (error) {
      if (status === mine) lost(ABNORMAL, String(error));
    }
  };

  const lost = (code: number, reason: string, retryAfter?: number): unknown => {
    drop();
    owner.lost();
    const why = code === UNAUTHORIZED ? 'refused' : code === TOKEN_EXPIRED && 'expired';
    if (why && canRefresh && !refreshed) {
      refreshed = true;
      return connect(why);
    }
    if (code === 1000 || (code >= 4000 && code < 4100)) return end(code, reason);
    attempt++;
    // Full jitter: clients that lost the same server do not return in the same moment.
    const pause = retryAfter
      ?? clock.Math.random() * (code >= 4200 && code < 4300 ? 1000 : Math.min(max, min * 2 ** attempt));
    after(pause, () => connect());
    change({ state: 'waiting', attempt, retryAt: clock.Date.now() + pause, code, reason });
  };

  const end = (code?: number, reason?: string) => {
    attempt = 0;
    refreshed = false;
    owner.ended();
    change({ state: 'closed', attempt, code, reason });
  };

  /** Waits for the next frame. The clock decides, because timers of hidden pages and sleeping machines are late. */
  const watch = () => {
    if (!silence) return;
    after(heardAt + silence - clock.Date.now(), () => {
      if (clock.Date.now() - heardAt >= silence) lost(ABNORMAL, 'silence');
      else watch();
    });
  };

  const doubt = () => {
    if (status.state !== 'online') return;
    const before = heard;
    owner.ping();
    after(PROBE, () => {
      if (heard === before) lost(ABNORMAL, 'silence');
      else watch();
    });
  };

  const receive = (text: unknown) => {
    heardAt = clock.Date.now();
    heard++;
    let frame: any;
    try {
      frame = JSON.parse(text as string);
    } catch {
      // Falls through to what is not a frame.
    }
    if (!frame?.op) {
      options.log?.('not a frame', text);
    } else if (frame.op === 'bye') {
      lost(frame.code, frame.reason, frame.retry_after_ms);
    } else if (frame.op !== 'welcome') {
      owner.frame(frame);
    } else if (status.state === 'connecting') {
      silence = frame.ping && frame.ping * 1000 + SILENCE;
      onlineAt = heardAt;
      refreshed = false;
      clock.clearTimeout(timer);
      watch();
      status = { state: 'online', attempt };
      owner.welcome(frame);
    }
  };

  return {
    get status() {
      return status;
    },
    open() {
      if (!isActive()) connect();
    },
    send(frame) {
      socket?.send(frame);
    },
    wake() {
      if (status.state === 'waiting') connect();
      else doubt();
    },
    doubt,
    suspend() {
      if (isActive()) lost(ABNORMAL, 'hidden');
    },
    close() {
      if (status.state === 'closed') return;
      if (status.state === 'online') socket?.send('{"op":"bye"}');
      drop(1000);
      owner.lost();
      end();
    },
  };
}
