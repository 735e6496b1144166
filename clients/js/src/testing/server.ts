import type { Options, Tags, To } from '../types.js';
import { settle, testClock, type TestClock } from './clock.js';
import { isRecipient, type TestEntry, type TestRecord } from './record.js';
import { MemorySocket, type Acceptor } from './socket.js';
import { TestWatches, type PresenceSettings } from './watches.js';

/** How many publications the server can replay. */
const HISTORY = 1000;
const NAMES = ['all', 'tags', 'expr', 'topic', 'uuid', 'ident'];

/** Answers a request: the members of its `ack`. Throws the members of an `error` (`{ code: 'busy', retry: true }`). */
export type TestHandler = (frame: any, client: TestRecord) => object | undefined | void;

interface Asking {
  asker: TestRecord;
  id: number;
  asked: TestRecord;
  timer: unknown;
}

/**
 * A server in memory: tags, topics, resuming with a history, questions, presence, tokens that are never refused.
 *
 * Pass `options` to `connect`. Time passes by `clock.advance`; `settle` waits for what takes no time.
 */
export class TestServer {
  readonly clock: TestClock;
  /** False: every attempt to connect fails. */
  isUp = true;
  /** Each frame of each client but `hello` and `pong`, in the order of arrival. */
  readonly received: { client: TestRecord; frame: any }[] = [];
  #records = new Map<string, TestRecord>();
  #bySocket = new Map<MemorySocket, TestRecord>();
  #journal: TestEntry[] = [];
  #handlers = new Map<string, TestHandler>();
  #asking = new Map<string, Asking>();
  #watches: TestWatches;
  #position = 0;
  #epoch = 0;
  #last = 0;

  constructor(clock: TestClock = testClock()) {
    this.clock = clock;
    this.#watches = new TestWatches(clock, () => this.#records.values());
  }

  /** What presence shows. */
  get presence(): PresenceSettings {
    return this.#watches.settings;
  }

  /** What `connect` needs to reach this server: any URL leads to it. */
  get options(): Pick<Options, 'clock' | 'WebSocket'> {
    const acceptor: Acceptor = {
      opened: () => this.isUp,
      received: (socket, frame) => this.#receive(socket, frame),
      closed: (socket, code) => this.#lost(socket, code === 1000),
    };
    return {
      clock: this.clock,
      WebSocket: class extends MemorySocket {
        constructor() {
          super(acceptor);
        }
      },
    };
  }

  /** The clients that are online, in the order in which they came. */
  get clients(): readonly TestRecord[] {
    return [...this.#bySocket.values()];
  }

  /** Waits until everything that takes no time has happened. */
  settle(): Promise<void> {
    return settle();
  }

  /** Publishes as a backend does. Returns how many clients that are online it was for. */
  publish(to: To, data: unknown, { event, except = [] }: { event?: string; except?: string[] } = {}): number {
    return this.#publish({ to, data, event }, except);
  }

  /** Changes the tags of a client as a backend does. */
  setTags(uuid: string, tags: Tags): void {
    const record = this.#records.get(uuid);
    if (!record) throw new Error(`no client has the UUID ${uuid}`);
    record.tags = { ...tags };
    record.socket?.deliver({ op: 'tags', tags: record.tags, topics: record.topics });
    this.#watches.changed();
  }

  /** No client may watch any more what it watches. */
  endWatches(code = 'permission_denied'): void {
    this.#watches.refuse(code);
  }

  /** Answers all requests of one op (`pub`, `tag`, `send`, …) in another way. */
  handle(op: string, handler: TestHandler): void {
    this.#handlers.set(op, handler);
  }

  /** The network breaks: all connections end without a Close frame. */
  cut(): void {
    for (const socket of [...this.#bySocket.keys()]) {
      this.#lost(socket, false);
      socket.reset();
    }
  }

  /** Closes all connections. */
  close(code: number, reason = '', retryAfter?: number): void {
    for (const socket of [...this.#bySocket.keys()]) {
      this.#lost(socket, code >= 4000 && code < 4100);
      socket.deliver({ op: 'bye', code, reason, retry_after_ms: retryAfter });
      socket.end(code, reason);
    }
  }

  /** The server is restarted: connections break, and it knows no client and no publication any more. */
  restart(): void {
    this.cut();
    this.#records.clear();
    this.#journal = [];
    this.#position = 0;
    this.#epoch++;
  }

  #receive(socket: MemorySocket, frame: any): void {
    const client = this.#bySocket.get(socket);
    if (!client) return this.#hello(socket, frame);
    if (frame.op === 'pong') return;
    this.received.push({ client, frame });
    if (frame.op === 'bye') return this.#lost(socket, true);
    if (frame.op === 'answer') return this.#answered(client, frame);
    try {
      const answer = this.#carryOut(client, frame);
      if (answer && frame.id !== undefined) socket.deliver({ op: 'ack', id: frame.id, ...answer });
    } catch (error) {
      const { code } = error as any;
      if (!code) throw error; // A mistake of a handler, which is for the test.
      socket.deliver({ op: 'error', id: frame.id, retry: false, message: code, ...error as object });
    }
  }

  /** Returns the members of the `ack`. Without them the answer is another frame, or comes later. */
  #carryOut(client: TestRecord, frame: any): object | undefined {
    const isRepeatable = frame.op === 'pub' || frame.op === 'tag';
    if (isRepeatable && client.ids.has(frame.id)) return { repeated: true };
    const handler = this.#handlers.get(frame.op);
    const answer = handler ? handler(frame, client) ?? {} : this.#answer(client, frame);
    if (isRepeatable && frame.id !== undefined) client.ids.add(frame.id);
    return answer;
  }

  #answer(client: TestRecord, frame: any): object | undefined {
    switch (frame.op) {
      case 'pub': {
        const names = Object.keys(frame.to ?? {}).filter(name => NAMES.includes(name));
        if (names.length !== 1) throw { code: 'invalid_target' };
        const excluded = [frame.except ?? []].flat().map((name: string) => name === 'self' ? client.uuid : name);
        const matched = this.#publish({ ...frame, from: frame.from ? client.uuid : undefined }, excluded);
        return frame.report ? { matched, away: 0, workers: matched && 1 } : {};
      }
      case 'tag': {
        const { set = {}, remove = [], join = [], leave = [] } = frame;
        const kept = { ...client.tags };
        for (const name of remove) delete kept[name];
        client.tags = { ...kept, ...set };
        client.topics = [...new Set([...client.topics.filter(topic => !leave.includes(topic)), ...join])];
        this.#watches.changed();
        return {};
      }
      case 'ask':
        return this.#ask(client, frame);
      case 'ping':
        client.socket?.deliver({ op: 'pong', id: frame.id, time: this.clock.Date.now() });
        return undefined;
      case 'token':
        return {};
      case 'watch':
        if (client.socket) this.#watches.begin(client.socket, frame);
        return {};
      case 'unwatch':
        if (client.socket) this.#watches.end(client.socket, frame.watch);
        return {};
    }
    throw { code: frame.op === 'send' ? 'unsupported' : 'unknown_op' };
  }

  #hello(socket: MemorySocket, { instance, tags = {}, topics = [], ident, resume, since, rewind }: any): void {
    const known = typeof resume === 'string' ? this.#records.get(resume.split('/')[0] as string) : undefined;
    const isResumed = !!known && resume === `${known.uuid}/${known.generation}`;
    const record = isResumed ? known : this.#newRecord({ tags, topics, ident });
    if (record.socket) {
      const old = record.socket;
      this.#lost(old, false);
      old.deliver({ op: 'bye', code: 4012, reason: 'taken over by another connection' });
    }
    if (record.instance !== instance) record.ids.clear();
    Object.assign(record, { instance, socket, generation: record.generation + 1 });
    this.#bySocket.set(socket, record);
    this.#watches.changed();
    const isRecovering = isResumed || since !== undefined || rewind > 0;
    socket.deliver({
      op: 'welcome', uuid: record.uuid, resumed: isResumed,
      reason: resume && !isResumed ? 'expired_token' : undefined, ids: isResumed ? 'kept' : undefined,
      resume: `${record.uuid}/${record.generation}`, grace: 60, tags: record.tags, topics: record.topics,
      at: isRecovering ? undefined : this.#at(), recovering: isRecovering || undefined, ping: 0,
      permissions: ['publish', 'tag', 'watch'], features: ['history', 'presence', 'ask', 'report', 'token'],
      limits: { message: 5_242_880, tags: 128, topics: 100, event: 64 }, time: this.clock.Date.now(),
      server: 'tagcast-client/testing',
    });
    if (isRecovering) this.#recover(record, since, rewind);
  }

  #newRecord({ tags, topics, ident }: Pick<TestRecord, 'tags' | 'topics' | 'ident'>): TestRecord {
    const record = {
      uuid: `client-${++this.#last}`, tags, topics, ident, generation: 0, ids: new Set<number>(),
    };
    this.#records.set(record.uuid, record);
    return record;
  }

  #recover(record: TestRecord, since: string | undefined, rewind: number): void {
    const [epoch, number] = (since ?? '').split('.');
    const meant = this.#journal.filter(({ to, excluded }) =>
      isRecipient(to, record) && !excluded.includes(record.uuid));
    const from = rewind ? meant.at(-rewind)?.number ?? 1 : Number(number) + 1;
    const isKnown = rewind || epoch === `e${this.#epoch}`;
    const hasAll = from >= (this.#journal[0]?.number ?? 1);
    const missed = isKnown && hasAll ? meant.filter(entry => entry.number >= from) : [];
    for (const { frame } of missed) record.socket?.deliver(frame);
    record.socket?.deliver({
      op: 'recovery', recovered: !!isKnown && hasAll, replayed: missed.length,
      reason: isKnown ? hasAll ? undefined : 'evicted' : 'lost', at: this.#at(),
    });
  }

  #publish({ to, data, event, from }: any, excluded: string[]): number {
    // Throws before anything has happened.
    const recipients = [...this.#records.values()].filter(record =>
      isRecipient(to, record) && !excluded.includes(record.uuid));
    const number = ++this.#position;
    const isDirect = 'uuid' in to || 'ident' in to;
    const frame = { op: 'msg', at: this.#at(), event, topic: to.topic, from, direct: isDirect || undefined, data: data ?? null };
    this.#journal.push({ number, to: JSON.parse(JSON.stringify(to)), excluded, frame: JSON.parse(JSON.stringify(frame)) });
    if (this.#journal.length > HISTORY) this.#journal.shift();
    const here = recipients.filter(({ socket }) => socket);
    const reached = isDirect ? here.slice(0, 1) : here;
    for (const { socket } of reached) socket?.deliver(frame);
    return reached.length;
  }

  #ask(asker: TestRecord, { id, to, event, timeout_ms: timeout = 5000, data }: any): undefined {
    const found = [...this.#records.values()].filter(record => isRecipient(to, record));
    const asked = found.find(({ socket }) => socket);
    if (!asked) throw found.length ? { code: 'away', retry: true } : { code: 'gone' };
    const ask = `ask-${++this.#last}`;
    const timer = this.clock.setTimeout(() => this.#settleAsk(ask, { code: 'timeout', retry: true }), timeout);
    this.#asking.set(ask, { asker, id, asked, timer });
    asked.socket?.deliver({ op: 'ask', ask, event, timeout_ms: timeout, data });
  }

  #answered(client: TestRecord, { ask, data, error }: any): void {
    if (this.#asking.get(ask)?.asked !== client) return;
    const code = error === 'unhandled' ? 'unhandled' : 'refused';
    this.#settleAsk(ask, error === undefined ? undefined : { code, message: error }, data);
  }

  #settleAsk(ask: string, error?: { code: string; message?: string; retry?: boolean }, data?: unknown): void {
    const open = this.#asking.get(ask);
    if (!open) return;
    this.clock.clearTimeout(open.timer);
    this.#asking.delete(ask);
    open.asker.socket?.deliver(error
      ? { op: 'error', id: open.id, retry: false, message: error.code, ...error }
      : { op: 'answer', id: open.id, data });
  }

  #lost(socket: MemorySocket, hasEnded: boolean): void {
    const record = this.#bySocket.get(socket);
    if (!record) return;
    this.#bySocket.delete(socket);
    Object.assign(record, { socket: undefined, leftAt: this.clock.Date.now() });
    if (hasEnded) this.#records.delete(record.uuid);
    this.#watches.lost(socket);
    for (const [ask, { asked }] of this.#asking) {
      if (asked === record) this.#settleAsk(ask, hasEnded ? { code: 'gone' } : { code: 'away', retry: true });
    }
  }

  #at(): string {
    return `e${this.#epoch}.${this.#position}`;
  }
}
