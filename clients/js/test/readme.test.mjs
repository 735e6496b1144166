// The lines of the README and of docs/clients.md, run against the server as they are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { connect } from '../dist/index.js';
import { TestServer } from '../dist/testing.js';
import { missing, startServer } from './server.mjs';

let server;
before(async () => {
  if (!missing) server = await startServer();
});
after(() => server?.stop());

for (const page of ['../README.md', '../../../docs/clients.md']) {
  test(`the lines of ${page} publish, and change the tags`, { skip: missing, timeout: 20_000 }, async () => {
    const [, lines] = /```js\n(import \{ connect \}.*?)```/s.exec(readFileSync(new URL(page, import.meta.url), 'utf8'));
    const shown = [];
    let client;
    const environment = {
      connect: (_, options) => client = connect(server.url, { ...options, WebSocket }),
      console: { log: (...values) => shown.push(values) },
      show: value => shown.push(value),
      showStatus: ({ state }) => shown.push(state),
      loadAgain: () => shown.push('again'),
    };
    const body = lines.replace(/^import .*$/m, '');
    await new (async () => {}).constructor(...Object.keys(environment), body)(...Object.values(environment));
    const expected = page.includes('README')
      ? [['online'], [client.uuid, 'hello']] : ['online', 3];
    const until = Date.now() + 5000;
    while (shown.length < expected.length && Date.now() < until) await new Promise(done => setTimeout(done, 5));
    client.close();
    // `connecting` came before there was a handler.
    assert.deepEqual(shown, [...expected, page.includes('README') ? ['closed'] : 'closed']);
  });
}

test('the lines about tests run', async () => {
  const text = readFileSync(new URL('../../../docs/clients.md', import.meta.url), 'utf8');
  const [, lines] = /```js\n(import \{ connect \}[^`]*testing[^`]*)```/.exec(text);
  const body = lines.replace(/^import .*$/mg, '');
  const run = new (async () => {}).constructor('connect', 'TestServer', `${body}; return client;`);
  const client = await run(connect, TestServer);
  await assert.rejects(client.publish({ all: true }, 1, { offline: 'fail' }), { code: 'offline' });
  client.close();
});
