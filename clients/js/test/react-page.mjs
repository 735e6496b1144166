// Runs in a page: components under StrictMode, with the server in memory. `result` is what they have done.
import { createElement as h, StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { connect } from '../dist/index.js';
import { TagcastProvider, useEvent, usePresence, useRecovery, useStatus, useTagcast, useTopic } from '../dist/react.js';
import { TestServer } from '../dist/testing.js';

const server = new TestServer();
const client = connect('ws://x', server.options);
const seen = [];
const recoveries = [];

function Price() {
  const [price, setPrice] = useState('none');
  const { state } = useStatus();
  useTopic('news', 'price', setPrice);
  useEvent('price', (data, { topic }) => seen.push([data, topic, price]));
  useRecovery(({ recovered }) => recoveries.push(recovered));
  return h('p', { id: 'price' }, `${state} ${price} ${useTagcast() === client}`);
}

/** Who is in a room, which a query that is made anew with each rendering names. */
function Room({ room }) {
  const { members, count, ended } = usePresence({ tags: { room } });
  const { count: all } = usePresence({ tags: {} }, 'count');
  return h('p', { id: 'room' }, `${count} of ${all}: ${[...members.values()].map(({ tags }) => tags.name)} ${ended ?? ''}`);
}

const until = async (text, id = 'price') => {
  const page = () => document.getElementById(id)?.textContent;
  const end = performance.now() + 5000;
  while (page() !== text) {
    if (performance.now() > end) throw new Error(`shows ${page()}, not ${text}`);
    await new Promise(done => setTimeout(done, 5));
  }
};
const tags = () => server.received.filter(({ frame: { op } }) => op === 'tag').map(({ frame: { join, leave } }) => [join, leave]);

async function run() {
  const root = createRoot(document.body);
  const render = children => root.render(h(StrictMode, null, h(TagcastProvider, { client }, children)));
  render(h(Price));
  await until('online none true');
  await server.settle();
  const joined = tags();
  server.publish({ topic: 'news' }, 1, { event: 'price' });
  await until('online 1 true');
  server.publish({ all: true }, 2, { event: 'price' });
  server.publish({ topic: 'news' }, 3, { event: 'price' });
  await until('online 3 true');
  render(null);
  await until(undefined);
  render(h(Price));
  await until('online none true');
  await server.settle();
  server.cut();
  await until('waiting none true');
  await server.clock.advance(1000);
  await until('online none true');
  for (const name of ['Ada', 'Ben']) connect('ws://x', { ...server.options, tags: { room: '1', name } });
  await server.settle();
  render(h(Room, { room: '1' }));
  await until('2 of 3: Ada,Ben ', 'room');
  render(h(Room, { room: '1' }));
  await server.clock.advance(1000);
  render(h(Room, { room: '2' }));
  await until('0 of 3:  ', 'room');
  server.endWatches();
  await until('0 of 3:  permission_denied', 'room');
  render(null);
  await until(undefined, 'room');
  await server.settle();
  const watches = ['watch', 'unwatch'].map(wanted => server.received.filter(({ frame: { op } }) => op === wanted).length);
  let error;
  try {
    await new Promise((_, reject) => createRoot(document.createElement('div'), { onUncaughtError: reject }).render(h(Price)));
  } catch ({ message }) {
    error = message;
  }
  return { joined, tags: tags(), seen, recoveries, watches, clients: server.clients.length, uuid: client.uuid, error };
}

globalThis.result = run().catch(error => ({ failed: error.message }));
