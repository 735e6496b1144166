// The server in memory that tests of pages use.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../dist/index.js';
import { watch } from '../dist/presence.js';
import { TestServer } from '../dist/testing.js';

/** A server and clients of it, each with the data of its messages. */
async function setup(...options) {
  const server = new TestServer();
  const clients = options.map(each => {
    const client = connect('ws://x', { ...server.options, ...each });
    const messages = [];
    const recoveries = [];
    client.on('*', data => messages.push(data));
    client.onRecovery(recovery => recoveries.push(recovery));
    return { client, messages, recoveries };
  });
  await server.settle();
  return { server, clients };
}

test('publications reach the clients that match', async () => {
  const { server, clients: [a, b, c] } = await setup({ tags: { room: '1', level: 12 } }, { tags: { room: '2' } }, { ident: 'job' });
  c.client.topic('news').on('*', () => {});
  await server.settle();
  assert.deepEqual(await a.client.publish({ tags: { room: '2' } }, 1, { report: true }), { matched: 1, away: 0, workers: 1 });
  await a.client.publish({ all: true }, 2, { except: 'self' });
  await a.client.publish({ ident: 'job' }, 3);
  await a.client.publish({ topic: 'news' }, 4);
  await b.client.publish({ uuid: a.client.uuid }, 5);
  await b.client.tag({ set: { room: '1' } });
  assert.equal(server.publish({ tags: { room: '1' } }, 6), 2);
  assert.equal(server.publish({ tags: { level: '12' } }, 7, { event: 'e' }), 1);
  await server.settle();
  assert.deepEqual([a, b, c].map(({ messages }) => messages), [[5, 6, 7], [1, 2, 6], [2, 3, 4]]);
  await assert.rejects(a.client.publish({ expr: 'a=1' }, 1), { code: 'unsupported' });
  await assert.rejects(a.client.publish({}, 1), { code: 'invalid_target' });
  assert.deepEqual(server.clients.map(({ uuid }) => uuid), [a, b, c].map(({ client }) => client.uuid));
});

test('a cut loses nothing, a restart does', async () => {
  const { server, clients: [a, b] } = await setup({ tags: { room: '1' } }, {});
  const { uuid } = a.client;
  server.publish({ all: true }, 1);
  await server.settle();
  server.cut();
  await server.settle();
  assert.equal(server.publish({ tags: { room: '1' } }, 2), 0);
  const published = b.client.publish({ all: true }, 3);
  await server.clock.advance(1000);
  await published;
  await server.settle();
  assert.equal(a.client.uuid, uuid);
  assert.deepEqual(a.messages, [1, 2, 3]);
  assert.deepEqual(a.recoveries.at(-1).recovered, true);
  server.restart();
  await server.clock.advance(1000);
  assert.deepEqual(a.recoveries.at(-1), { resumed: false, recovered: false, replayed: 0, reason: 'lost' });
  assert.notEqual(a.client.uuid, uuid);
});

test('a request that was carried out before its connection was cut is not carried out twice', async () => {
  const { server, clients: [a, b] } = await setup({}, {});
  const published = a.client.publish({ all: true }, 1);
  // The frame is taken, and the acknowledgement is lost.
  while (!server.received.length) await null;
  server.cut();
  await server.clock.advance(1000);
  assert.deepEqual(await published, { repeated: true });
  assert.deepEqual(b.messages, [1]);
});

test('questions are answered, refused, not handled, or come too late', async () => {
  const { server, clients: [a, b] } = await setup({}, { ident: 'b' });
  b.client.answer('add', ([x, y]) => x + y);
  b.client.answer('no', () => { throw new Error('the user said no'); });
  b.client.answer('slow', () => new Promise(() => {}));
  assert.equal(await a.client.ask({ uuid: b.client.uuid }, [1, 2], { event: 'add' }), 3);
  await assert.rejects(a.client.ask({ ident: 'b' }, 1, { event: 'no' }), { code: 'refused', message: 'the user said no' });
  await assert.rejects(a.client.ask({ ident: 'b' }, 1), { code: 'unhandled' });
  await assert.rejects(a.client.ask({ uuid: 'nobody' }, 1), { code: 'gone' });
  const slow = assert.rejects(a.client.ask({ ident: 'b' }, 1, { event: 'slow', timeout: 100 }), { code: 'timeout' });
  await server.clock.advance(100);
  await slow;
  const closed = assert.rejects(a.client.ask({ ident: 'b' }, 1, { event: 'slow' }), { code: 'gone' });
  await server.settle();
  b.client.close();
  await closed;
});

test('a test decides about answers, tags and closes', async () => {
  const { server, clients: [a] } = await setup({ tags: { room: '1' } });
  server.handle('pub', () => { throw { code: 'rate_limited', retry: true, retry_after_ms: 500 }; });
  server.handle('send', ({ data }) => ({ echoed: data }));
  await assert.rejects(a.client.publish({ all: true }, 1), { code: 'rate_limited', retryAfter: 500 });
  assert.equal((await a.client.request('send', { data: 1 })).echoed, 1);
  await assert.rejects(a.client.request('nope', {}), { code: 'unknown_op' });
  assert.deepEqual(server.received.map(({ frame: { op } }) => op), ['pub', 'send', 'nope']);
  const changes = [];
  a.client.onTags(tags => changes.push(tags));
  server.setTags(a.client.uuid, { room: '2' });
  await server.settle();
  assert.deepEqual(changes, [{ room: '2' }]);
  server.isUp = false;
  server.close(4200, 'server restart', 700);
  await server.clock.advance(699);
  assert.deepEqual(a.client.status, { state: 'waiting', attempt: 1, retryAt: 700, code: 4200, reason: 'server restart' });
  await server.clock.advance(1);
  assert.equal(a.client.status.attempt, 2);
  server.isUp = true;
  await server.clock.advance(2000);
  assert.equal(a.client.status.state, 'online');
  server.close(4003, 'application removed or changed');
  await server.settle();
  assert.equal(a.client.status.state, 'closed');
});

test('presence: lists, numbers, those who come back in time, and the end of a watch', async () => {
  const { server, clients: [a, b] } = await setup({ tags: { room: '1', name: 'Ada' }, ident: 'ada' }, { tags: { name: 'Ben' } });
  const seen = [];
  const names = ({ members }) => [...members.values()].map(({ tags }) => tags.name);
  const room = watch(a.client, { tags: { room: '1' } }, { onChange: presence => seen.push(names(presence)) });
  const numbers = watch(b.client, { tags: { room: '1' } }, { mode: 'count' });
  await server.settle();
  assert.deepEqual([seen, numbers.count, numbers.users], [[['Ada']], 1, 1]);
  await b.client.tag({ set: { room: '1' } });
  await server.clock.advance(499);
  assert.equal(room.count, 1);
  await server.clock.advance(1);
  assert.deepEqual([seen.at(-1), room.members.get('member-2').tags, numbers.count], [['Ada', 'Ben'], { name: 'Ben', room: '1' }, 1]);
  await server.clock.advance(500);
  assert.deepEqual([numbers.count, numbers.users], [2, 2]);
  server.cut();
  await server.clock.advance(2000);
  assert.deepEqual(seen.at(-1), ['Ada', 'Ben']);
  server.isUp = false;
  server.cut();
  await server.clock.advance(6000);
  server.isUp = true;
  await server.clock.advance(20000);
  assert.deepEqual(seen.at(-1), ['Ada', 'Ben']);
  b.client.close();
  await server.clock.advance(500);
  assert.deepEqual([seen.at(-1), room.users], [['Ada'], 1]);
  server.presence.members = 0;
  server.presence.tags = [];
  await a.client.tag({ set: { mood: 'good' } });
  await server.clock.advance(500);
  assert.deepEqual([room.isLong, room.members.size, room.count], [true, 0, 1]);
  server.endWatches();
  await server.settle();
  assert.equal(room.ended, 'permission_denied');
  room.off();
  const refused = watch(a.client, { expr: 'a=1' });
  await server.settle();
  server.handle('watch', () => { throw { code: 'permission_denied' }; });
  const denied = watch(a.client, { topic: 'x' });
  await server.settle();
  assert.deepEqual([refused.ended, denied.ended], ['unsupported', 'permission_denied']);
});
