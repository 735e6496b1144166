// V200: compiled against the packed file. A line after `@ts-expect-error` must be an error.
import { connect, TagcastError, type Recovery, type Status, type Tagcast } from 'tagcast-client';
import { socketWebClient } from 'tagcast-client/legacy';
import { useEvent, usePresence, useStatus, useTopic } from 'tagcast-client/react';
import { TestServer, testClock } from 'tagcast-client/testing';

type Shop = { price: { p: number }; note: string };

const client: Tagcast<Shop> = connect<Shop>('ws://x', { lazy: true, clock: testClock() });

client.on('price', (data, message) => {
  const price: number = data.p;
  const from: string | undefined = message.from;
  // @ts-expect-error: it has no member `q`
  data.q;
  return [price, from];
});
client.on('*', (data: unknown) => data);
// @ts-expect-error: no event of the shop
client.on('prize', () => {});

client.topic('news').publish('price', { p: 1 });
// @ts-expect-error: data of another type
client.topic('news').publish('price', { p: 'one' });
// @ts-expect-error: no target
client.publish({}, 1);
// @ts-expect-error: no target has such a member
client.publish({ all: true, nothing: 1 }, 1);

export function shown(status: Status): number {
  // @ts-expect-error: only a client that waits has a time
  status.retryAt;
  return status.state === 'waiting' ? status.retryAt : 0;
}

export async function asked(): Promise<boolean> {
  try {
    return await client.ask<boolean>({ uuid: 'x' }, 'sure?', { signal: new AbortController().signal });
  } catch (error) {
    return error instanceof TagcastError && error.retry;
  }
}

export function Component(): string {
  useEvent<number>('price', (data, { direct }) => [data.toFixed(), direct]);
  useTopic('news', 'price', data => data);
  return useStatus().state;
}

export function Room(): string {
  const { members, count, users, isLong, ended } = usePresence({ topic: 'room1' }, 'members');
  // @ts-expect-error: what is watched is no single client
  usePresence({ uuid: 'x' });
  return ended ?? [...members.values()].map(({ tags, user }) => `${tags?.name} ${user}`).join() + (isLong ? count : users);
}

export const old = [socketWebClient('ws://x', '/web').uuid(), socketWebClient('x', 8096, '/web').isOpen()];

export const tested = connect('ws://x', new TestServer(testClock()).options);

client.onRecovery((recovery: Recovery) => recovery.recovered);
client.onTags((tags, topics) => [tags.room, topics[0]]);
// @ts-expect-error: a token is a text or a function
connect('ws://x', { token: 5 });
