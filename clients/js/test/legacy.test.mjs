// The drop-in for socketWebClient.js, against the real server and a page that still has the old one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { socketWebClient } from '../dist/legacy.js';
import { eventually, missing, startServer } from './server.mjs';

globalThis.WebSocket ??= WebSocket;

/** A client with what its callbacks have got. */
function page(...address) {
  const sock = socketWebClient(...address);
  const got = { status: [], ready: [], packets: [], closed: 0 };
  sock.setCallbackStatus(text => got.status.push(text));
  sock.setCallbackReady(packet => got.ready.push(packet));
  sock.setCallback('readMessage', packet => got.packets.push(packet));
  sock.setCallback('CLOSE', () => got.closed++);
  sock.setCallback('constructor', () => assert.fail());
  return { sock, got };
}

/** A page with the old client: raw packets. */
async function oldPage(port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/web?key=shop`);
  const packets = [];
  socket.on('message', text => packets.push(JSON.parse(text)));
  const ready = await eventually('ready', () => packets.find(({ opcode }) => opcode === 'ready'));
  return { uuid: ready.uuid, packets, send: packet => socket.send(JSON.stringify(packet)), close: () => socket.close() };
}

test('V205: it exchanges packets with an old page, and continues after its server was killed',
  { skip: missing, timeout: 60_000 }, async () => {
    const server = await startServer();
    const { sock, got } = page('tcp://127.0.0.1', server.port, '/web?key=shop');
    const other = page(`ws://127.0.0.1:${server.port}`, '/web?key=shop');
    assert.equal(sock.isOpen(), false);
    assert.equal(sock.uuid(), null);
    sock.broadcast('before init nothing is sent');
    await assert.rejects(sock.sendAsync({ opcode: 'broadcast', message: 1 }), error => error === 'Socket not open');
    sock.init();
    other.sock.init();
    await eventually('both are ready', () => got.ready.length && other.got.ready.length);
    assert.equal(got.ready[0].uuid, sock.uuid());
    assert.ok(sock.isOpen());
    assert.deepEqual(got.status, ['Trying to connect ...', 'Connected']);
    const old = await oldPage(server.port);

    await sock.sendAsync({ opcode: 'broadcast', message: 'to all others' });
    sock.feedback({ half: 'done' }, old.uuid);
    sock.echo('echoed');
    await eventually('the echo', () => got.packets.length);
    assert.deepEqual(got.packets, [{ opcode: 'echo', message: 'echoed' }]);
    await eventually('two packets', () => old.packets.length === 3);
    assert.deepEqual(old.packets.slice(1), [
      { opcode: 'broadcast', message: 'to all others' }, { opcode: 'feedback', message: { half: 'done' } }]);
    assert.deepEqual(other.got.packets, [{ opcode: 'broadcast', message: 'to all others' }]);
    old.send({ opcode: 'feedback', uuid: sock.uuid(), message: 'back' });
    old.send({ opcode: 'broadcast', message: 'x'.repeat(20_000) });
    other.sock.feedback('between two new ones', sock.uuid());
    await eventually('three packets', () => got.packets.length === 4);
    assert.deepEqual(new Set(got.packets.slice(1).map(({ opcode, message, fromUUID }) => `${opcode} ${message.length} ${fromUUID ?? ''}`)),
      new Set(['feedback 4 ', 'broadcast 20000 ', `feedback 20 ${other.sock.uuid()}`]));
    sock.sendMsg({ opcode: 'unknown' });
    old.close();

    await server.stop('SIGKILL');
    await eventually('it notices', () => got.closed);
    assert.equal(sock.isOpen(), false);
    sock.broadcast('meanwhile');
    const again = await startServer({ port: server.port });
    try {
      await eventually('both are ready again', () => got.ready.length === 2 && other.got.ready.length === 2);
      await sock.sendAsync({ opcode: 'broadcast', message: 'again' });
      // `meanwhile` arrived too if the other one was back first.
      await eventually('what was sent after that', () => other.got.packets.at(-1).message === 'again');
      sock.quit();
      other.sock.sendMsg({ opcode: 'quit' });
      await eventually('both are closed', () => got.status.at(-1) === 'Server closed connection');
      sock.init();
      await eventually('open again', () => sock.isOpen());
    } finally {
      sock.quit();
      other.sock.quit();
      await again.stop();
    }
  });
