/** What is published: event names, and the type of their data. */
export type Events = Record<string, unknown>;

/** Tags of a client. The server compares `12` and `"12"` as equal. */
export type Tags = Record<string, string | number>;

/** Recipients of a publication. */
export type To =
  | { all: true }
  | { tags: Tags }
  | { expr: string }
  | { topic: string }
  | { uuid: string }
  | { ident: string };

/** Why a token is asked for. */
export type TokenReason = 'connect' | 'expires' | 'expired' | 'refused';

/** What to do with a request while the client is not online. */
export type Offline = 'queue' | 'drop' | 'fail';

/** The part of `WebSocket` that a client uses. */
export interface WebSocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** Time and chance: the part of `globalThis` that a client uses for them. A test may bring its own. */
export interface Clock {
  Date: { now(): number };
  Math: { random(): number };
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
}

export interface Options {
  /** Key of the application. */
  key?: string;
  /** Secret of the application. Never put one into a page. */
  secret?: string;
  /** A connection token, or a function that gets one before each connection and before the present one expires. */
  token?: string | ((why: { reason: TokenReason }) => string | Promise<string>);
  /** Tags on opening. */
  tags?: Tags;
  /** A name by which backends address the client. */
  ident?: string;
  /** How many of the latest publications to get on the first connection. */
  rewind?: number;
  /**
   * `true` (the default) resumes after a lost connection. With a storage, a reloaded page resumes too. `name` is the
   * name of the entry in it; by default it contains the URL.
   */
  resume?: boolean | { storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>; name?: string };
  /** Bounds of the requests that wait to be sent: number (100), bytes (262,144), age in ms (60,000). */
  queue?: { count?: number; bytes?: number; age?: number };
  /** Pauses between attempts in ms: first (500), longest (20,000), and how long a connection must last to count as stable (10,000). */
  backoff?: { min?: number; max?: number; stable?: number };
  /** How long to wait for `welcome`, and for the answer to a request that was sent, in ms (10,000). */
  timeout?: number;
  /** `true`: connects with `open()`. */
  lazy?: boolean;
  /** Where there is no global `WebSocket` (Node 20): that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
  /** Time and chance, for tests. */
  clock?: Clock;
  /** Gets a line for each change of state, and for what is ignored. */
  log?: (message: string, details?: unknown) => void;
}

/** Takes back what returned it. */
export type Off = () => void;

export interface HandlerOptions {
  /** The handler is removed when this is aborted. */
  signal?: AbortSignal;
}

export interface Message<D = unknown> {
  data: D;
  event?: string;
  /** Set if it was published to exactly one topic. */
  topic?: string;
  /** UUID of the sender, if the sender showed it. */
  from?: string;
  /** Whether it was for this client alone. */
  direct: boolean;
  /** Whether it was published before this connection. */
  replayed: boolean;
}

export type Status =
  | { state: 'idle' | 'connecting' | 'online'; attempt: number }
  | { state: 'waiting'; attempt: number; retryAt: number; code: number; reason: string }
  | { state: 'closed'; attempt: number; code?: number; reason?: string };

/** What a client has missed. `recovered: false` means: load your state again. */
export interface Recovery {
  /** Whether the server still knew this client. */
  resumed: boolean;
  /** Whether everything that was published meanwhile has arrived. */
  recovered: boolean;
  /** How many publications were replayed. */
  replayed: number;
  missed?: number;
  reason?: 'off' | 'lost' | 'evicted' | 'expired' | 'retagged' | 'overrun' | 'mailbox' | 'gap' | 'new' | 'disabled';
}

export interface PublishOptions {
  event?: string;
  /** `'self'`, or a list of at most 16 of `'self'` and UUIDs. */
  except?: string | string[];
  /** Shows the UUID of this client to the recipients. */
  from?: boolean;
  /** The server counts the recipients. */
  report?: boolean;
  /** Default: `queue`. */
  offline?: Offline;
  /** Sends again even when the server may have carried it out already. */
  repeat?: boolean;
}

export interface Ack {
  /** The server had accepted this request before, and has not carried it out twice. */
  repeated?: boolean;
  /** With `report`: clients that match. */
  matched?: number;
  /** With `report`: 1 if the one recipient is away. */
  away?: number;
  /** With `report`: worker processes with recipients. */
  workers?: number;
  /** The client was not online, and the request was dropped (`offline: 'drop'`). */
  dropped?: boolean;
}

export interface TagChange {
  set?: Tags;
  remove?: string[];
  join?: string[];
  leave?: string[];
}

export interface AskOptions {
  event?: string;
  /** How long the other client may take, in ms: 100 to 60,000, 5,000 by default. */
  timeout?: number;
  /** When this is aborted, the promise rejects at once. */
  signal?: AbortSignal;
}

export interface Subscribe<E extends Events> {
  /** Messages with this event. `message` is for those without an event. */
  <K extends keyof E & string>(
    event: K,
    handler: (data: E[K], message: Message<E[K]>) => void,
    options?: HandlerOptions,
  ): Off;
  /** All messages. */
  (event: '*', handler: (data: unknown, message: Message) => void, options?: HandlerOptions): Off;
}

/** A topic. The client is in it as long as it has a handler. */
export interface Topic<E extends Events = Events> {
  on: Subscribe<E>;
  publish<K extends keyof E & string>(event: K, data: E[K], options?: PublishOptions): Promise<Ack>;
}

export interface Tagcast<E extends Events = Events> {
  /** The UUID that the server has given to this client. */
  readonly uuid: string | null;
  readonly tags: Tags;
  readonly topics: readonly string[];
  readonly status: Status;
  /** What the server offers this client. */
  readonly features: readonly string[];
  /** Connects: at first, at once instead of after a pause, or again after `closed`. */
  open(): this;
  /** Ends the client. The server forgets it. */
  close(): void;
  /** Resolves as soon as the client is online. Rejects when it is closed. */
  ready(signal?: AbortSignal): Promise<void>;
  on: Subscribe<E>;
  topic(name: string): Topic<E>;
  /** Resolves when the broker has the publication. */
  publish(to: To, data: unknown, options?: PublishOptions): Promise<Ack>;
  /** Changes tags and topics of this client in one step. */
  tag(change: TagChange): Promise<void>;
  /** Asks one client, and resolves with its answer. */
  ask<T = unknown>(to: { uuid: string } | { ident: string }, data: unknown, options?: AskOptions): Promise<T>;
  /** Answers questions. What `handler` returns, or throws, is the answer. */
  answer(event: string, handler: (data: unknown, context: { signal: AbortSignal }) => unknown): Off;
  onStatus(handler: (status: Status) => void, options?: HandlerOptions): Off;
  /** Once after each connection, and when the server has missed messages. */
  onRecovery(handler: (recovery: Recovery) => void, options?: HandlerOptions): Off;
  /** When something else has changed the tags or topics of this client. */
  onTags(handler: (tags: Tags, topics: readonly string[]) => void, options?: HandlerOptions): Off;
  /** Any request of the protocol. Resolves with the members of its answer, among them its `id`. */
  request(op: string, members: object, offline?: Offline): Promise<any>;
  /** Each frame of one op. */
  onFrame(op: string, handler: (frame: any) => void, options?: HandlerOptions): Off;
}
