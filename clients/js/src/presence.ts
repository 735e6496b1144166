/** Presence: how many clients match a query, which ones, and who joins and leaves. */
import { report } from './errors.js';
import type { Off, Tagcast, Tags } from './types.js';

/** A client that matches. */
export interface Member {
  /** Stays the same as long as the client lives. It is no address. */
  id: string;
  /** `info` of its token. */
  user?: unknown;
  /** The tags that its application shows. */
  tags?: Tags;
  /** Only where its application shows it. */
  uuid?: string;
}

/** What is watched. */
export type WatchQuery = { topic: string } | { tags: Tags } | { expr: string };

export interface WatchOptions {
  /** `members`, the default: a list. `count`: numbers alone, at most once a second. */
  mode?: 'members' | 'count';
  /** Called after each change, and when the watch ends by itself. */
  onChange?: (presence: Presence) => void;
  signal?: AbortSignal;
}

export interface Presence {
  /** The members by their ids. Empty with the mode `count`, and while there are too many (`isLong`). */
  readonly members: ReadonlyMap<string, Member>;
  readonly count: number;
  /** Distinct users among them. */
  readonly users: number;
  /** There are too many members for a list. */
  readonly isLong: boolean;
  /** Why the server watches no longer, such as `permission_denied`. */
  readonly ended?: string;
  off: Off;
}

/** Watches a query, on this connection and on each later one. While there is none, the last state stays. */
export function watch(
  client: Tagcast<any>, query: WatchQuery, { mode = 'members', onChange, signal }: WatchOptions = {},
): Presence {
  const members = new Map<string, Member>();
  const ends = new AbortController();
  let attempt = 0;
  /** The number of the watch; 0 while there is none. */
  let id = 0;
  /** Frames that came before the number of the watch was known. */
  let early: any[] = [];
  const presence = { members, count: 0, users: 0, isLong: false, ended: undefined as string | undefined, off };

  const apply = ({ count, users, sync, more, members: all, joined = all ?? [], left = [], end }: any) => {
    if (end) {
      presence.ended = end;
      id = 0;
    } else {
      Object.assign(presence, { count, users });
      if (sync) {
        members.clear();
        presence.isLong = !!more;
      }
      for (const member of joined) members.set(member.id, member);
      for (const gone of left) members.delete(gone);
    }
    try {
      onChange?.(presence);
    } catch (error) {
      report(error);
    }
  };

  const begin = () => {
    const mine = ++attempt;
    id = 0;
    early = [];
    presence.ended = undefined;
    client.request('watch', { ...query, mode }, 'drop').then(ack => {
      if (mine !== attempt) return;
      id = ack.id;
      for (const frame of early) if (frame.watch === id) apply(frame);
    }, ({ retry, code }) => {
      // What is lost with a connection begins again with the next one.
      if (mine === attempt && !retry && code !== 'closed') apply({ end: code });
    });
  };

  function off() {
    ends.abort();
    attempt++;
    if (id) client.request('unwatch', { watch: id }, 'drop').catch(() => {});
    id = 0;
  }

  const until = { signal: ends.signal };
  client.onFrame('welcome', begin, until);
  client.onFrame('presence', frame => {
    if (!id) early.push(frame);
    else if (frame.watch === id) apply(frame);
  }, until);
  signal?.addEventListener('abort', off, until);
  if (signal?.aborted) off();
  else if (client.status.state === 'online') begin();
  return presence;
}
