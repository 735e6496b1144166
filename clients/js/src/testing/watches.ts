import type { Tags } from '../types.js';
import type { TestClock } from './clock.js';
import { isRecipient, type TestRecord } from './record.js';
import type { MemorySocket } from './socket.js';

/** How long changes are collected for a list, and between two numbers, in ms. */
const PAUSE = { members: 500, count: 1000 };
/** How long a client that is away stays a member, in ms. */
const LINGER = 5000;

interface ShownMember {
  id: string;
  user?: unknown;
  tags?: Tags;
}

/** What a test decides about presence. */
export interface PresenceSettings {
  /** Names of the tags that members show. All without it. */
  tags?: string[];
  /** With more members a watch has numbers alone. */
  members: number;
}

interface TestWatch {
  socket: MemorySocket;
  id: number;
  mode: 'members' | 'count';
  matches(record: TestRecord): boolean;
  /** What the watcher knows: members by their ids, as text. */
  known: Map<string, string>;
  numbers: string;
  isLong: boolean;
  timer?: unknown;
}

/** Presence of a server in memory. Who matches is looked up anew for each frame. */
export class TestWatches {
  readonly settings: PresenceSettings = { members: 200 };
  #clock: TestClock;
  #records: () => Iterable<TestRecord>;
  #watches = new Set<TestWatch>();

  constructor(clock: TestClock, records: () => Iterable<TestRecord>) {
    this.#clock = clock;
    this.#records = records;
  }

  /** Carries out a `watch`. What is answered first is up to the caller: the list comes in a later microtask. */
  begin(socket: MemorySocket, { id, topic, tags, expr, mode = 'count', once = mode === 'once' }: any): void {
    const queries = [topic !== undefined && { topic }, tags && { tags }, expr !== undefined && { expr }].filter(Boolean);
    const [query] = queries;
    if (queries.length !== 1 || !query) throw { code: 'invalid_target' };
    const watch: TestWatch = {
      socket, id, mode: mode === 'count' ? 'count' : 'members', known: new Map(), numbers: '', isLong: false,
      matches: record => isRecipient(query, record),
    };
    // An expression is refused at once.
    this.#matching(watch);
    queueMicrotask(() => {
      this.#watches.add(watch);
      this.#flush(watch, true);
      if (once) this.#watches.delete(watch);
    });
  }

  end(socket: MemorySocket, id: number): void {
    for (const watch of this.#watches) if (watch.socket === socket && watch.id === id) this.#forget(watch);
  }

  /** The server watches no longer. */
  refuse(code: string): void {
    for (const watch of [...this.#watches]) {
      this.#forget(watch);
      watch.socket.deliver({ op: 'presence', watch: watch.id, end: code });
    }
  }

  /** A connection has ended, and its watches with it. */
  lost(socket: MemorySocket): void {
    for (const watch of this.#watches) if (watch.socket === socket) this.#forget(watch);
    this.changed();
    this.#clock.setTimeout(() => this.changed(), LINGER);
  }

  /** Something has changed that a watch may see. */
  changed(): void {
    for (const watch of this.#watches) {
      watch.timer ??= this.#clock.setTimeout(() => {
        watch.timer = undefined;
        this.#flush(watch);
      }, PAUSE[watch.mode]);
    }
  }

  #forget(watch: TestWatch): void {
    this.#watches.delete(watch);
    this.#clock.clearTimeout(watch.timer);
  }

  #matching(watch: TestWatch): TestRecord[] {
    const now = this.#clock.Date.now();
    return [...this.#records()].filter(record =>
      (record.socket || now - (record.leftAt ?? now) < LINGER) && watch.matches(record));
  }

  #shown({ uuid, user, tags }: TestRecord): ShownMember {
    const names = this.settings.tags ?? Object.keys(tags);
    const shown = Object.fromEntries(Object.entries(tags).filter(([name]) => names.includes(name)));
    return { id: uuid.replace('client', 'member'), user, ...(Object.keys(shown).length && { tags: shown }) };
  }

  #flush(watch: TestWatch, isFirst = false): void {
    const matching = this.#matching(watch);
    const count = matching.length;
    const users = new Set(matching.map(({ uuid, ident }) => ident ?? `/${uuid}`)).size;
    const frame: any = { op: 'presence', watch: watch.id, sync: isFirst || undefined, count, users };
    const numbers = `${count}/${users}`;
    let hasChanged = isFirst || numbers !== watch.numbers;
    if (watch.mode === 'members') {
      const { members: limit } = this.settings;
      const isLong = count > limit || (watch.isLong && count >= limit * 0.9);
      const now = new Map(isLong ? [] : matching.map(record => {
        const member = this.#shown(record);
        return [member.id, JSON.stringify(member)];
      }));
      const list = (members: string[]) => members.map(member => JSON.parse(member));
      if (isFirst || isLong !== watch.isLong) {
        Object.assign(frame, { sync: true, members: list([...now.values()]), more: isLong || undefined });
        hasChanged = true;
      } else {
        const joined = [...now].filter(([id, member]) => watch.known.get(id) !== member).map(([, member]) => member);
        const left = [...watch.known.keys()].filter(id => !now.has(id));
        if (joined.length) frame.joined = list(joined);
        if (left.length) frame.left = left;
        hasChanged ||= joined.length + left.length > 0;
      }
      Object.assign(watch, { known: now, isLong });
    }
    watch.numbers = numbers;
    if (hasChanged) watch.socket.deliver(frame);
  }
}
