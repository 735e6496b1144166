// What scripts cannot say: chance, storages, signals, memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, TagcastError } from '../dist/index.js';
import { testClock } from '../dist/testing.js';
import { memorySockets, WELCOME } from './memory.mjs';

/** Sockets that answer `hello` by `welcome`, and the list of them. */
function welcoming(members = {}) {
  const sockets = [];
  return {
    sockets,
    WebSocket: memorySockets(socket => {
      sockets.push(socket);
      socket.answer = ({ op }) => op === 'hello' && socket.receive({ ...WELCOME, ...members });
    }),
  };
}

/** A storage, and how often it was written. */
function storage(entries = new Map()) {
  return {
    entries,
    writes: 0,
    getItem: name => entries.get(name) ?? null,
    setItem(name, value) {
      this.writes++;
      entries.set(name, value);
    },
    removeItem: name => entries.delete(name),
  };
}

test('V182: the first attempts of a thousand clients are spread', async () => {
  const clock = testClock();
  clock.Math.random = Math.random;
  const { WebSocket, sockets } = welcoming();
  const pauses = [];
  for (let n = 0; n < 1000; n++) {
    connect('ws://x', { clock, WebSocket }).onStatus(status => {
      if (status.state === 'waiting') pauses.push(status.retryAt - clock.Date.now());
    });
  }
  await clock.advance(2000);
  for (const socket of [...sockets]) socket.end();
  assert.equal(pauses.length, 1000);
  for (let begin = 0; begin < 1000; begin += 100) {
    const within = pauses.filter(pause => pause >= begin && pause < begin + 100).length;
    assert.ok(within > 30 && within < 200, `${within} of 1000 within 100 ms`);
  }
  assert.ok(Math.max(...pauses) <= 1000);
});

test('a storage is written once a second, when a page is left, and emptied when the client is closed', async () => {
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const kept = storage();
  const client = connect('ws://x', { clock, WebSocket, resume: { storage: kept } });
  await clock.advance(1000);
  assert.deepEqual(JSON.parse(kept.entries.get('tagcast:ws://x')), { resume: 'r1', since: 'e.1' });
  assert.equal(kept.writes, 1);
  for (let n = 0; n < 100; n++) {
    sockets[0].receive({ op: 'msg', at: `e.${n}`, data: n });
    await clock.advance(50);
  }
  assert.ok(kept.writes <= 6, `${kept.writes} writes in 6 s`);
  assert.equal(JSON.parse(kept.entries.get('tagcast:ws://x')).since, 'e.99');
  assert.ok(!kept.entries.get('tagcast:ws://x').includes('instance'));
  client.close();
  await clock.advance(5000);
  assert.equal(kept.entries.size, 0);
});

test('a storage that fails changes nothing', async () => {
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const fail = () => { throw new Error('denied'); };
  const client = connect('ws://x', {
    clock, WebSocket, resume: { storage: { getItem: fail, setItem: fail, removeItem: fail } },
  });
  await clock.advance(2000);
  assert.equal(client.status.state, 'online');
  sockets[0].end();
  await clock.advance(1000);
  assert.equal(sockets[1].sent[0].resume, 'r1');
  client.close();
});

test('an entry of a storage that is not what it should be is ignored', async () => {
  for (const entry of ['', 'nonsense', 'null', '5']) {
    const clock = testClock();
    const { WebSocket, sockets } = welcoming();
    connect('ws://x', { clock, WebSocket, resume: { storage: storage(new Map([['n', entry]])), name: 'n' } });
    await clock.advance(0);
    assert.equal(sockets[0].sent[0].resume, undefined, entry);
  }
});

test('a position counts when the handlers of its message have returned', async t => {
  const page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
  t.after(() => delete globalThis.addEventListener);
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const kept = storage();
  const client = connect('ws://x', { clock, WebSocket, resume: { storage: kept, name: 'n' } });
  await client.ready();
  const since = [];
  const leave = () => {
    page.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }));
    since.push(JSON.parse(kept.entries.get('n')).since);
  };
  client.on('message', leave);
  sockets[0].receive({ op: 'msg', at: 'e.2', data: 1 });
  leave();
  assert.deepEqual(since, ['e.1', 'e.2']);
  client.close();
});

test('what a handler answers after the time of the question is not sent', async () => {
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const client = connect('ws://x', { clock, WebSocket });
  await client.ready();
  let decide;
  client.answer('sure', () => new Promise(done => { decide = done; }));
  const ask = (name, timeout) => sockets[0].receive({ op: 'ask', ask: name, event: 'sure', timeout_ms: timeout, data: 1 });
  ask('k1', 100);
  await clock.advance(100);
  decide(true);
  ask('k2', 100);
  decide(true);
  await clock.advance(0);
  assert.deepEqual(sockets[0].sent.slice(1), [{ op: 'answer', ask: 'k2', data: true }]);
  client.close();
});

test('handlers are removed by their signal, and once', async () => {
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const client = connect('ws://x', { clock, WebSocket });
  await client.ready();
  const stop = new AbortController();
  const seen = [];
  client.on('e', data => seen.push(data), { signal: stop.signal });
  client.topic('t').on('e', data => seen.push(data), { signal: stop.signal });
  client.on('e', data => seen.push(data), { signal: AbortSignal.abort() });
  await clock.advance(0);
  assert.deepEqual(sockets[0].sent.at(-1), { op: 'tag', id: 1, join: ['t'], leave: [] });
  sockets[0].receive({ op: 'msg', event: 'e', topic: 't', data: 1 });
  stop.abort();
  sockets[0].receive({ op: 'msg', event: 'e', topic: 't', data: 2 });
  assert.deepEqual(seen, [1, 1]);
  await clock.advance(0);
  assert.deepEqual(sockets[0].sent.at(-1), { op: 'tag', id: 2, join: [], leave: ['t'] });
});

test('a handler that another one removes is not called, and one that is added waits for the next message', async () => {
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const client = connect('ws://x', { clock, WebSocket });
  await client.ready();
  const seen = [];
  client.on('message', () => {
    off();
    client.on('message', () => seen.push('later'));
  });
  const off = client.on('message', () => seen.push('removed'));
  sockets[0].receive({ op: 'msg', data: 1 });
  assert.deepEqual(seen, []);
  sockets[0].receive({ op: 'msg', data: 2 });
  assert.deepEqual(seen, ['later']);
});

test('ready waits for the connection, and ends with its signal or the client', async () => {
  const clock = testClock();
  const { WebSocket } = welcoming();
  const lazy = () => connect('ws://x', { clock, WebSocket, lazy: true });
  const a = lazy();
  await assert.rejects(a.ready(AbortSignal.abort(new Error('stop'))), /stop/);
  const closed = a.ready();
  a.close();
  await assert.rejects(closed, error => error instanceof TagcastError && error.code === 'closed');
  await a.open().ready();
  await a.ready();
});

test('a client that is closed by the handler of a status stays closed', async () => {
  for (const state of ['connecting', 'online', 'waiting']) {
    const clock = testClock();
    const { WebSocket, sockets } = welcoming();
    const client = connect('ws://x', { clock, WebSocket, lazy: true });
    client.onStatus(status => status.state === state && client.close());
    client.open();
    await clock.advance(10);
    sockets[0]?.end();
    await clock.advance(60_000);
    assert.equal(client.status.state, 'closed', state);
    assert.ok(sockets.length <= 1);
  }
});

test('data are written when publish is called', async () => {
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const client = connect('ws://x', { clock, WebSocket });
  const data = { n: 1 };
  client.publish({ all: true }, data);
  client.publish({ all: true }, undefined);
  data.n = 2;
  const circular = {};
  circular.self = circular;
  await assert.rejects(client.publish({ all: true }, circular), TypeError);
  await clock.advance(0);
  assert.deepEqual(sockets[0].sent.slice(1).map(frame => frame.data), [{ n: 1 }, null]);
});

test('without a WebSocket there is a clear error', () => {
  const before = globalThis.WebSocket;
  delete globalThis.WebSocket;
  try {
    assert.throws(() => connect('ws://x'), /option WebSocket/);
  } finally {
    if (before) globalThis.WebSocket = before;
  }
});

test('a URL that no WebSocket takes is a failed attempt', async () => {
  const clock = testClock();
  const client = connect('nonsense', { clock, WebSocket: class { constructor() { throw new SyntaxError('bad URL'); } } });
  await clock.advance(0);
  assert.match(client.status.reason, /bad URL/);
  client.close();
});

test('V208: messages and subscriptions leave nothing behind', { skip: !globalThis.gc && 'needs --expose-gc' }, async () => {
  const clock = testClock();
  const { WebSocket, sockets } = welcoming();
  const client = connect('ws://x', { clock, WebSocket });
  await client.ready();
  const { signal } = new AbortController();
  let seen = 0;
  client.on('e', () => seen++);
  const round = async () => {
    for (let n = 0; n < 100_000; n++) sockets[0].receive({ op: 'msg', event: 'e', at: `e.${n}`, data: n });
    for (let n = 0; n < 1000; n++) {
      client.on('e', () => {}, { signal })();
      client.topic(`t${n}`).on('e', () => {}, { signal })();
    }
    await clock.advance(0);
    sockets[0].sent.length = 1;
    globalThis.gc();
    return process.memoryUsage().heapUsed;
  };
  await round();
  const before = await round();
  const grown = await round() - before;
  assert.equal(seen, 300_000);
  assert.ok(grown < 1024 * 1024, `${grown} bytes`);
});
