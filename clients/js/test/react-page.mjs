// Runs in a page: components under StrictMode, with the server in memory. `result` is what they have done.
import { createElement as h, StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { connect } from '../dist/index.js';
import { TagcastProvider, useEvent, useRecovery, useStatus, useTagcast, useTopic } from '../dist/react.js';
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

const page = () => document.getElementById('price')?.textContent;
const until = async text => {
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
  let error;
  try {
    await new Promise((_, reject) => createRoot(document.createElement('div'), { onUncaughtError: reject }).render(h(Price)));
  } catch ({ message }) {
    error = message;
  }
  return { joined, tags: tags(), seen, recoveries, clients: server.clients.length, uuid: client.uuid, error };
}

globalThis.result = run().catch(error => ({ failed: error.message }));
