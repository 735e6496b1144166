/** Hooks for React 18 and newer. */
import {
  createContext, createElement, useContext, useEffect, useInsertionEffect, useRef, useSyncExternalStore,
  type ReactNode,
} from 'react';
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
