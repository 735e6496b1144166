// The client against the real server.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../dist/index.js';
import { watch } from '../dist/presence.js';
import { eventually, missing, startServer, token } from './server.mjs';

describe('with the server', { skip: missing, timeout: 60_000 }, () => {
  let server;
  const clients = [];

  before(async () => {
    server = await startServer();
  });

  after(async () => {
    for (const client of clients) client.close();
    await server?.stop();
  });

  /** A client, its messages and recoveries. */
  function client(options) {
    const made = connect(server.url, { WebSocket, backoff: { min: 10, max: 200 }, ...options });
    clients.push(made);
    const messages = [];
    const recoveries = [];
    made.on('*', (data, message) => messages.push(message));
    made.onRecovery(recovery => recoveries.push(recovery));
    return { client: made, messages, recoveries };
  }

  test('it publishes to tags, with event and sender', async () => {
    const a = client({ tags: { room: '1', level: 12 } });
    const b = client({ tags: { room: '2' } });
    await Promise.all([a.client.ready(), b.client.ready()]);
    assert.deepEqual(a.client.tags, { room: '1', level: '12' });
    assert.match(a.client.uuid, /^[0-9a-f-]{36}\./);
    const seen = [];
    a.client.on('price', (data, { from }) => seen.push({ data, from }));
    const ack = await b.client.publish({ tags: { room: '1' } }, { p: 3 }, { event: 'price', from: true });
    assert.deepEqual(ack, {});
    await eventually('the message', () => seen.length);
    assert.deepEqual(seen, [{ data: { p: 3 }, from: b.client.uuid }]);
    await b.client.publish({ uuid: a.client.uuid }, 'you');
    await b.client.publish({ expr: 'room=1 & level=12' }, 'expression');
    await b.client.publish({ all: true }, 'others', { except: 'self' });
    await eventually('three more', () => a.messages.length === 4);
    assert.deepEqual(a.messages.slice(1).map(({ data, direct }) => [data, direct]),
      [['you', true], ['expression', false], ['others', false]]);
    assert.deepEqual(b.messages, []);
  });

  test('it watches who is in a room', async () => {
    const a = client({ tags: { lobby: '1', name: 'Ada' } });
    const b = client({ tags: { lobby: '1', name: 'Bo' } });
    await Promise.all([a.client.ready(), b.client.ready()]);
    const room = watch(a.client, { tags: { lobby: '1' } });
    const names = () => [...room.members.values()].map(({ tags }) => tags?.name).sort().join();
    await eventually('both', () => names() === 'Ada,Bo');
    assert.deepEqual([room.count, room.users, room.isLong], [2, 2, false]);
    b.client.close();
    await eventually('one', () => names() === 'Ada');
    await b.client.ready().catch(() => {});
    const denied = watch(a.client, { expr: 'lobby=' });
    await eventually('the error', () => denied.ended);
    assert.equal(denied.ended, 'invalid_expression');
    room.off();
  });

  test('it receives what a backend publishes', async () => {
    const { client: page, messages } = client({ tags: { order: '7' } });
    await page.ready();
    assert.equal((await server.publish({ tags: { order: '7' } }, { state: 'paid' }, { event: 'order' })).matched, 1);
    await eventually('the message', () => messages.length);
    assert.deepEqual(messages[0], { event: 'order', data: { state: 'paid' }, direct: false, replayed: false });
  });

  test('it changes its tags, and requests that are refused say why', async () => {
    const { client: page, messages } = client({ tags: { room: '1' } });
    await page.ready();
    await page.tag({ set: { room: '3', constructor: 'x' }, remove: ['none'] });
    assert.deepEqual(page.tags, { room: '3', constructor: 'x' });
    await page.publish({ tags: { room: '3' } }, 'moved');
    await eventually('the message', () => messages.length);
    await assert.rejects(page.tag({ set: { '@user': '1' } }), { code: 'permission_denied', retry: false });
    await assert.rejects(page.publish({ expr: 'a=' }, 1), { code: 'invalid_expression' });
    await assert.rejects(page.publish({}, 1), { code: 'invalid_target' });
    await assert.rejects(page.publish({ all: true }, 'x'.repeat(6_000_000)), { code: 'payload_too_large' });
    await page.publish({ all: true }, 'still here');
  });

  test('it is in a topic while the topic has a handler', async () => {
    const { client: page, messages } = client();
    const { client: backend } = client();
    const news = [];
    const off = page.topic('news').on('price', (data, { topic }) => news.push({ data, topic }));
    await Promise.all([page.ready(), backend.ready()]);
    assert.deepEqual(page.topics, ['news']);
    await backend.topic('news').publish('price', 1);
    await backend.publish({ topic: 'other' }, 2, { event: 'price' });
    await server.publish({ tags: { channel: 'news' } }, 3, { event: 'price' });
    await eventually('both messages', () => news.length === 2);
    assert.deepEqual(news, [{ data: 1, topic: 'news' }, { data: 3, topic: 'news' }]);
    const offOther = page.topic('other').on('price', data => news.push(data));
    await eventually('the other topic', () => page.topics.length === 2);
    await backend.publish({ topic: 'other' }, 4, { event: 'price' });
    await eventually('its message', () => news.length === 3);
    off();
    offOther();
    await eventually('no topics', () => page.topics.length === 0);
    await backend.publish({ topic: 'news' }, 5, { event: 'price' });
    await backend.publish({ uuid: page.uuid }, 6);
    await eventually('the last message', () => messages.at(-1)?.data === 6);
    assert.equal(messages.length, 4);
  });

  test('it asks and answers', async () => {
    const { client: page } = client({ ident: 'page' });
    const { client: other } = client();
    await Promise.all([page.ready(), other.ready()]);
    page.answer('confirm', ({ question }) => question === 'Delete?');
    page.answer('refuse', () => { throw new Error('the user said no'); });
    assert.equal(await other.ask({ uuid: page.uuid }, { question: 'Delete?' }, { event: 'confirm' }), true);
    assert.equal(await other.ask({ ident: 'page' }, { question: 'Keep?' }, { event: 'confirm' }), false);
    await assert.rejects(other.ask({ ident: 'page' }, 1, { event: 'refuse' }), { code: 'refused', message: 'the user said no' });
    await assert.rejects(other.ask({ ident: 'page' }, 1, { event: 'none' }), { code: 'unhandled', retry: false });
    await assert.rejects(other.ask({ ident: 'nobody' }, 1), { code: 'gone' });
  });

  test('a request that the server does not know is refused', async () => {
    const { client: page } = client();
    await page.ready();
    await assert.rejects(page.request('nope', {}), { code: 'unknown_op' });
  });

  test('a token is shown, renewed, and asked for again when it is refused', async () => {
    const reasons = [];
    const { client: page } = client({
      key: 'shop',
      token({ reason }) {
        reasons.push(reason);
        return reason === 'connect' ? 'x.y.z' : token({ sub: '42', tags: { role: 'admin' } });
      },
    });
    await page.ready();
    assert.deepEqual(reasons, ['connect', 'refused']);
    assert.equal(page.tags.role, 'admin');
    await page.request('token', { token: token({ sub: '42', tags: { role: 'guest' } }) });
    await eventually('the tags of the new token', () => page.tags.role === 'guest');
    const refused = client({ token: 'x.y.z' }).client;
    await assert.rejects(refused.ready(), { code: 'closed' });
    assert.equal(refused.status.code, 4009);
  });

  test('all workers are killed: it reconnects with its tags, and nothing is sent twice', async () => {
    const { client: page, messages, recoveries } = client({ tags: { room: 'w' } });
    await page.ready();
    await page.tag({ set: { room: 'x' } });
    const states = [];
    page.onStatus(({ state }) => states.push(state));
    assert.equal(server.killWorkers(), 2);
    await eventually('it notices', () => states.includes('waiting'));
    const published = page.publish({ tags: { room: 'x' } }, 'after');
    await published;
    await eventually('the message', () => messages.length);
    assert.deepEqual(messages.map(({ data }) => data), ['after']);
    assert.equal(states.at(-1), 'online');
    assert.equal(recoveries.length, 2);
    assert.deepEqual(recoveries[0], { resumed: false, recovered: true, replayed: 0 });
    assert.equal(recoveries[1].recovered, false);
  });

  test('a client that was away is the same one, and gets what was published to it alone', async () => {
    const { client: page, messages, recoveries } = client({ tags: { room: 'y' }, backoff: { min: 20_000 } });
    await page.ready();
    const { uuid } = page;
    await page.tag({ set: { room: 'z' } });
    await server.publish({ uuid }, 'here');
    await eventually('the message', () => messages.length);
    server.killWorkers();
    await eventually('it notices', () => page.status.state === 'waiting');
    await eventually('it is away', async () => (await server.publish({ tags: { room: 'z' } }, 'missed')).matched === 0);
    await server.publish({ uuid }, 'kept');
    page.open();
    await page.ready();
    assert.equal(page.uuid, uuid);
    assert.deepEqual(page.tags, { room: 'z' });
    await eventually('the recovery', () => recoveries.length === 2);
    assert.deepEqual(recoveries[1], { resumed: true, recovered: false, replayed: 1, reason: 'off' });
    assert.deepEqual(messages.map(({ data, replayed }) => [data, replayed]), [['here', false], ['kept', true]]);
    await page.publish({ tags: { room: 'z' } }, 'new');
    await eventually('a new message', () => messages.length === 3);
  });

  test('what was published when the connection broke is delivered once', async () => {
    const { client: receiver, messages } = client({ tags: { room: 'once' } });
    /** Breaks the connection after every third publication, before its answer. */
    class Breaking extends WebSocket {
      static sent = 0;
      send(text) {
        super.send(text);
        if (text.includes('"op":"pub"') && ++Breaking.sent % 3 === 0) setTimeout(() => this.terminate());
      }
    }
    const { client: publisher } = client({ WebSocket: Breaking });
    await Promise.all([receiver.ready(), publisher.ready()]);
    const numbers = Array.from({ length: 30 }, (_, number) => number);
    await Promise.all(numbers.map(number => publisher.publish({ tags: { room: 'once' } }, number)));
    await eventually('all messages', () => messages.length >= numbers.length);
    assert.deepEqual(messages.map(({ data }) => data), numbers);
    assert.ok(Breaking.sent > numbers.length, `${Breaking.sent} sent`);
  });

  test('V97: where publications are stored, each is handled once and in order while all workers die', async () => {
    const storing = await startServer({ application: '    history: 1000\n    rewind: 10\n' });
    try {
      const open = options => {
        const made = connect(storing.url, { WebSocket, backoff: { min: 10, max: 200 }, ...options });
        const seen = [];
        const recoveries = [];
        made.on('*', data => seen.push(data));
        made.onRecovery(recovery => recoveries.push(recovery));
        clients.push(made);
        return { made, seen, recoveries };
      };
      const reader = open({ tags: { room: '1' } });
      const writer = open({});
      await Promise.all([reader.made.ready(), writer.made.ready()]);
      let last = 0;
      for (let round = 0; round < 3; round++) {
        const published = Array.from({ length: 40 }, () => writer.made.publish({ tags: { room: '1' } }, ++last));
        storing.killWorkers();
        published.push(...Array.from({ length: 40 }, () => writer.made.publish({ tags: { room: '1' } }, ++last)));
        await Promise.all(published);
        await eventually('all of them', () => reader.seen.length >= last);
        await eventually('the recovery', () => reader.recoveries.length === round + 2);
      }
      assert.deepEqual(reader.seen, Array.from({ length: last }, (_, n) => n + 1));
      assert.ok(reader.recoveries.every(({ recovered }) => recovered), JSON.stringify(reader.recoveries));
      const late = open({ tags: { room: '1' }, rewind: 10 });
      await eventually('the latest', () => late.seen.length === 10);
      assert.deepEqual(late.seen, Array.from({ length: 10 }, (_, n) => last - 9 + n));
    } finally {
      await storing.stop();
    }
  });

  test('a server that is stopped and started again is found again', async () => {
    const other = await startServer();
    const page = connect(other.url, { WebSocket, backoff: { min: 10, max: 200 } });
    clients.push(page);
    await page.ready();
    await other.stop();
    await eventually('it notices', () => page.status.state === 'waiting');
    const again = await startServer({ port: other.port });
    try {
      await page.ready();
      await page.publish({ all: true }, 'again');
    } finally {
      page.close();
      await again.stop();
    }
  });

  test('pings are answered', async () => {
    const other = await startServer({ ini: 'pingInterval = 300ms' });
    const page = connect(other.url, { WebSocket });
    let pings = 0;
    page.onFrame('ping', () => pings++);
    await eventually('five pings', () => pings >= 5);
    assert.deepEqual(page.status, { state: 'online', attempt: 0 });
    page.close();
    await other.stop();
  });
});
