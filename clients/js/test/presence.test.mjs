// The entry `tagcast-client/presence`: lists of members over connections that come and go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../dist/index.js';
import { watch } from '../dist/presence.js';
import { testClock } from '../dist/testing.js';
import { memorySockets, WELCOME } from './memory.mjs';

/** A client whose server acknowledges everything, and the latest socket. */
function setup(answer = socket => ({ op, id }) => op !== 'hello' && op !== 'pong' && socket.receive({ op: 'ack', id })) {
  const clock = testClock();
  const sockets = [];
  const WebSocket = memorySockets(socket => {
    sockets.push(socket);
    const rest = answer(socket);
    socket.answer = frame => (frame.op === 'hello' ? socket.receive(WELCOME) : rest(frame));
  });
  return { client: connect('ws://x', { clock, WebSocket }), clock, sockets };
}

const watchesOf = socket => socket.sent.filter(({ op }) => op === 'watch');

test('V196: members are kept in a map, whatever their names are', async () => {
  const { client, clock, sockets } = setup();
  await clock.advance(0);
  const [socket] = sockets;
  const seen = [];
  const room = watch(client, { topic: 'room1' }, { onChange: ({ count, members }) => seen.push([count, members.size]) });
  await clock.advance(0);
  const [{ id, topic, mode }] = watchesOf(socket);
  assert.deepEqual([topic, mode], ['room1', 'members']);
  socket.receive({ op: 'presence', watch: id, sync: true, count: 2, users: 1, members: [{ id: '__proto__' }, { id: 'constructor', user: '__proto__' }] });
  socket.receive({ op: 'presence', watch: id, count: 2, users: 2, joined: [{ id: 'b' }], left: ['__proto__'] });
  socket.receive({ op: 'presence', watch: id + 100, count: 9, users: 9 });
  assert.deepEqual([...room.members.keys()], ['constructor', 'b']);
  assert.deepEqual([room.count, room.users, room.isLong], [2, 2, false]);
  socket.receive({ op: 'presence', watch: id, sync: true, count: 500, users: 2, members: [], more: true });
  assert.deepEqual([room.members.size, room.isLong], [0, true]);
  assert.deepEqual(seen, [[2, 2], [2, 2], [500, 0]]);
  room.off();
  room.off();
  assert.equal(socket.sent.filter(({ op, watch }) => op === 'unwatch' && watch === id).length, 1);
  socket.receive({ op: 'presence', watch: id, count: 1, users: 1 });
  assert.equal(room.count, 500);
});

test('a list without the clients of a host is partial until all are known', async () => {
  const { client, clock, sockets } = setup();
  await clock.advance(0);
  const room = watch(client, { topic: 'a' });
  await clock.advance(0);
  const [{ id }] = watchesOf(sockets[0]);
  assert.equal(room.isPartial, false);
  const seen = rest => {
    sockets[0].receive({ op: 'presence', watch: id, count: 1, users: 1, ...rest });
    return [room.isPartial, room.members.size];
  };
  assert.deepEqual(seen({ sync: true, partial: true, members: [{ id: 'a' }] }), [true, 1]);
  assert.deepEqual(seen({ joined: [{ id: 'b' }] }), [true, 2], 'a change says nothing about the other hosts');
  assert.deepEqual(seen({ sync: true, members: [{ id: 'a' }, { id: 'c' }, { id: 'd' }] }), [false, 3]);
});

test('a watch begins again on each connection, and keeps what it knows until then', async () => {
  const { client, clock, sockets } = setup();
  const room = watch(client, { tags: { room: '1' } }, { mode: 'count' });
  await clock.advance(0);
  const [{ id }] = watchesOf(sockets[0]);
  sockets[0].receive({ op: 'presence', watch: id, sync: true, count: 3, users: 3 });
  sockets[0].end();
  await clock.advance(2000);
  assert.equal(sockets.length, 2);
  assert.equal(room.count, 3);
  const [again] = watchesOf(sockets[1]);
  assert.notEqual(again.id, id);
  sockets[1].receive({ op: 'presence', watch: id, count: 9, users: 9 });
  sockets[1].receive({ op: 'presence', watch: again.id, sync: true, count: 4, users: 4 });
  assert.equal(room.count, 4);
});

test('frames that come with their acknowledgement are not lost', async () => {
  const { client, clock } = setup(socket => ({ op, id }) => {
    if (op !== 'watch') return;
    socket.receive({ op: 'ack', id });
    socket.receive({ op: 'presence', watch: id, sync: true, count: id, users: 1 });
  });
  await clock.advance(0);
  const rooms = [1, 2, 3].map(room => watch(client, { tags: { room } }, { mode: 'count' }));
  await clock.advance(0);
  assert.deepEqual(rooms.map(({ count }) => count), [1, 2, 3]);
});

test('a watch that is refused or ended says why, and a signal ends it', async () => {
  const { client, clock, sockets } = setup(socket => ({ op, id, expr }) => {
    if (op === 'watch') socket.receive(expr ? { op: 'error', id, code: 'permission_denied' } : { op: 'ack', id });
  });
  await clock.advance(0);
  let changes = 0;
  const refused = watch(client, { expr: 'a=1' }, { onChange: () => changes++ });
  const ending = new AbortController();
  const room = watch(client, { topic: 'a' }, { signal: ending.signal });
  await clock.advance(0);
  assert.deepEqual([refused.ended, changes], ['permission_denied', 1]);
  const { id } = watchesOf(sockets[0])[1];
  sockets[0].receive({ op: 'presence', watch: id, end: 'permission_denied' });
  assert.equal(room.ended, 'permission_denied');
  ending.abort();
  sockets[0].end();
  await clock.advance(2000);
  assert.deepEqual(watchesOf(sockets[1]).map(({ expr }) => expr), ['a=1']);
});

test('a watch that is taken back before its answer ends at the server, and one that has ended collects nothing', async () => {
  const { client, clock, sockets } = setup(socket => ({ op, id, expr }) => {
    if (op === 'watch' && expr) socket.receive({ op: 'error', id, code: 'permission_denied' });
  });
  await clock.advance(0);
  const [socket] = sockets;
  const room = watch(client, { topic: 'a' });
  const refused = watch(client, { expr: 'a=1' });
  room.off();
  await clock.advance(0);
  const [{ id }] = watchesOf(socket);
  socket.receive({ op: 'ack', id });
  await clock.advance(0);
  assert.deepEqual(socket.sent.filter(({ op }) => op === 'unwatch').map(({ watch }) => watch), [id]);
  socket.receive({ op: 'presence', watch: id, sync: true, count: 9, users: 9 });
  assert.deepEqual([room.count, refused.count, refused.ended], [0, 0, 'permission_denied']);
});
