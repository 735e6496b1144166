/** Hooks for React 18 and newer. */
import {
  createContext, createElement, useContext, useEffect, useInsertionEffect, useRef, useState, useSyncExternalStore,
  type ReactNode,
} from 'react';
import { watch, type Member, type WatchQuery } from './presence.js';
import type { Events, Message, Off, Recovery, Status, Tagcast } from './types.js';

const Client = createContext<Tagcast<any> | undefined>(undefined);

/**
 * Gives a client to the components inside. The client is made outside of them, so that it lives longer than any
 * component: React mounts components more than once.
 */
export function TagcastProvider({ client, children }: { client: Tagcast<any>; children?: ReactNode }): ReactNode {
  return createElement(Client.Provider, { value: client }, children);
}

/** The client of the nearest `TagcastProvider`. Throws an error without one. */
export function useTagcast<E extends Events = Events>(): Tagcast<E> {
  const client = useContext(Client);
  if (!client) throw new Error('no TagcastProvider around this component');
  return client;
}

/** The status of the client. The component is rendered again when it changes. */
export function useStatus(): Status {
  const client = useTagcast();
  const now = () => client.status;
  return useSyncExternalStore(client.onStatus, now, now);
}

/** Calls the handler of the latest rendering. Subscribes once, not with every rendering. */
function useHandler<A extends unknown[]>(
  handler: (...values: A) => void,
  subscribe: (client: Tagcast, call: (...values: A) => void) => Off,
  of: unknown[],
): void {
  const client = useTagcast();
  const latest = useRef(handler);
  useInsertionEffect(() => {
    latest.current = handler;
  });
  useEffect(() => subscribe(client, (...values) => latest.current(...values)), [client, ...of]);
}

/** Messages with this event, as `client.on`. */
export function useEvent<D = any>(event: string, handler: (data: D, message: Message<D>) => void): void {
  useHandler(handler, (client, call) => client.on(event, call as any), [event]);
}

/** Messages with this event in a topic. The client is in the topic while a component with this hook is mounted. */
export function useTopic<D = any>(
  name: string, event: string, handler: (data: D, message: Message<D>) => void,
): void {
  useHandler(handler, (client, call) => client.topic(name).on(event, call as any), [name, event]);
}

/** What the client may have missed, as `client.onRecovery`. */
export function useRecovery(handler: (recovery: Recovery) => void): void {
  useHandler(handler, (client, call) => client.onRecovery(call), []);
}

/** What `usePresence` returns: the state of a watch at one rendering. */
export interface PresenceState {
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
}

const UNKNOWN: PresenceState = { members: new Map(), count: 0, users: 0, isLong: false, isPartial: false };

/**
 * Who matches a query, as long as the component is mounted. The component is rendered again after each change. The
 * query may be a new object with each rendering: what is in it counts.
 */
export function usePresence(query: WatchQuery, mode: 'members' | 'count' = 'members'): PresenceState {
  const client = useTagcast();
  const text = JSON.stringify(query);
  const [{ of, state }, set] = useState({ of: '', state: UNKNOWN });
  const key = mode + text;
  useEffect(() => watch(client, JSON.parse(text), {
    mode,
    onChange: ({ members, off: _, ...rest }) => set({ of: key, state: { ...rest, members: new Map(members) } }),
  }).off, [client, key]);
  // What is known of another query is not shown for this one.
  return of === key ? state : UNKNOWN;
}
