import type { Tags, To } from '../types.js';
import type { MemorySocket } from './socket.js';

/** A client as the server knows it, here or away. */
export interface TestRecord {
  readonly uuid: string;
  instance?: string;
  ident?: string;
  /** What presence shows of its user, as `info` of a token. A test may set it. */
  user?: unknown;
  tags: Tags;
  topics: string[];
  /** Missing while it is away. */
  socket?: MemorySocket;
  /** When it went away, by the clock of the test. */
  leftAt?: number;
  generation: number;
  /** Ids of publications and changes of tags that were carried out. */
  ids: Set<number>;
}

/** A publication that a client may have missed. */
export interface TestEntry {
  number: number;
  to: To;
  excluded: string[];
  frame: object;
}

/** Whether a client is a recipient. Throws an error frame's members for what a server in memory cannot decide. */
export function isRecipient(to: To, { uuid, ident, tags, topics }: TestRecord): boolean {
  if ('all' in to) return true;
  if ('topic' in to) return topics.includes(to.topic);
  if ('uuid' in to) return uuid === to.uuid;
  if ('ident' in to) return ident === to.ident;
  if ('tags' in to) {
    return Object.entries(to.tags).every(([name, value]) => name === 'channel'
      ? topics.includes(String(value))
      : Object.hasOwn(tags, name) && String(tags[name]) === String(value));
  }
  throw { code: 'unsupported', message: 'the server of tagcast-client/testing evaluates no expressions' };
}
