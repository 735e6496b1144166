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
  /** One of several hosts has not said in time which of its clients match. Their list follows. */
  readonly isPartial: boolean;
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
  /** The number of the watch, if there is one and it is known. */
  let id: number | undefined;
  /** Frames that come before the number of the watch is known. Another list for each attempt. */
  let early: any[] | undefined;
  const presence: { -readonly [K in keyof Presence]: Presence[K] } = {
    members, count: 0, users: 0, isLong: false, isPartial: false, off,
  };

  const apply = ({ count, users, sync, more, partial, members: all, joined = all ?? [], left = [], end }: any) => {
    if (end) {
      presence.ended = end;
      id = early = undefined;
    } else {
      Object.assign(presence, { count, users });
      if (sync) {
        members.clear();
        Object.assign(presence, { isLong: !!more, isPartial: !!partial });
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

  const take = (frame: any) => {
    if (frame.watch === id) apply(frame);
    else early?.push(frame);
  };

  const begin = () => {
    const mine: any[] = early = [];
    id = presence.ended = undefined;
    client.request('watch', { ...query, mode }, 'drop').then(ack => {
      // It was taken back before its answer.
      if (mine !== early) return unwatch(ack.id);
      early = undefined;
      id = ack.id;
      mine.forEach(take);
    }, ({ retry, code }) => {
      // What is lost with a connection begins again with the next one.
      if (mine === early && !retry && code !== 'closed') apply({ end: code });
    });
  };

  const unwatch = (watch: number | undefined) => {
    if (watch) client.request('unwatch', { watch }, 'drop').catch(() => {});
    id = early = undefined;
  };

  function off() {
    ends.abort();
    unwatch(id);
  }

  const until = { signal: ends.signal };
  client.onFrame('welcome', begin, until);
  client.onFrame('presence', take, until);
  signal?.addEventListener('abort', off, until);
  if (signal?.aborted) off();
  else if (client.status.state === 'online') begin();
  return presence;
}
