// The client in Chromium: in pages and workers, under a strict Content-Security-Policy.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { build } from 'esbuild';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { play } from '../../conformance/server.mjs';
import { missing as noChromium, servePages, startChromium } from './chromium.mjs';
import { eventually, missing as noServer, startServer } from './server.mjs';

/** A driver in a page or in a worker; the same file for all. */
const DRIVER = `
import { driver } from '/test/driver.mjs';
let current;
globalThis.drive = async ([name, ...parameters]) => {
  if (name === 'start') current = driver(WebSocket);
  return await current[name](...parameters) ?? null;
};
const serve = port => {
  port.onmessage = ({ data: { id, command } }) => drive(command).then(
    result => port.postMessage({ id, result }), error => port.postMessage({ id, error: error.message }));
};
if ('document' in globalThis) globalThis.isReady = true;
else if ('SharedWorkerGlobalScope' in globalThis) globalThis.onconnect = ({ ports: [port] }) => serve(port);
else serve(globalThis);
`;

/** In a page: passes commands on to a worker. */
const TO_WORKER = `
const isShared = location.search === '?shared';
const options = { type: 'module' };
const port = isShared ? new SharedWorker('/driver.mjs', options).port : new Worker('/driver.mjs', options);
const waiting = new Map();
port.onmessage = ({ data: { id, result, error } }) => error ? waiting.get(id).reject(error) : waiting.get(id).resolve(result);
globalThis.drive = command => new Promise((resolve, reject) => {
  const id = waiting.size;
  waiting.set(id, { resolve, reject });
  port.postMessage({ id, command });
});
globalThis.isReady = true;
`;

const page = script => `<!doctype html><meta charset="utf-8"><title>test</title>${script}`;

const PAGES = {
  '/page.html': page('<script type="module" src="/driver.mjs"></script>'),
  '/driver.mjs': DRIVER,
  '/worker.html': page('<script type="module" src="/to-worker.mjs"></script>'),
  '/to-worker.mjs': TO_WORKER,
  '/stored.html': page('<script src="/dist/tagcast.js"></script><script src="/stored.js"></script>'),
  '/stored.js': `
    const options = { lazy: true, backoff: { min: 10, max: 200 } };
    if (location.search.includes('stored')) options.resume = { storage: sessionStorage };
    const client = tagcast.connect(decodeURIComponent(location.hash.slice(1)), options);
    const messages = [], recoveries = [];
    client.on('*', data => messages.push(data));
    client.onRecovery(recovery => recoveries.push(recovery));
    client.open();`,
  '/other.html': page('other'),
  '/readme.html': page('<script type="module" src="/readme.js"></script>'),
  '/react.html': page('<script src="/react.js" defer></script>'),
  '/classic.html': page('<script src="/dist/tagcast.js"></script><script src="/classic.js"></script>'),
  '/classic.js': `
    const server = new URLSearchParams(location.search).get('server');
    const client = tagcast.connect(server, { tags: { room: '1' }, backoff: { min: 10, max: 200 } });
    const messages = [], states = [], recoveries = [];
    client.on('*', data => messages.push(data));
    client.onStatus(({ state }) => states.push(state));
    client.onRecovery(recovery => recoveries.push(recovery));`,
};

const folder = new URL('../../conformance/scripts/', import.meta.url);
const scripts = readdirSync(folder).sort().map(file => [file, JSON.parse(readFileSync(new URL(file, folder), 'utf8'))]);

describe('in Chromium', { skip: noChromium, timeout: 80_000 }, () => {
  let chromium, pages;

  before(async () => {
    const { outputFiles: [react] } = await build({
      entryPoints: [fileURLToPath(new URL('react-page.mjs', import.meta.url))], bundle: true, write: false,
      define: { 'process.env.NODE_ENV': '"development"' },
    });
    const [, lines] = /```js\n(import \{ connect \}.*?)```/s.exec(readFileSync(new URL('../README.md', import.meta.url), 'utf8'));
    const readme = `const shown = globalThis.shown = [], console = { log: (...values) => shown.push(values) };\n${lines
      .replace("'tagcast-client'", "'/dist/index.js'")
      .replace("'ws://127.0.0.1:8094/'", 'decodeURIComponent(location.hash.slice(1))')}; globalThis.uuid = client.uuid;`;
    pages = await servePages({ ...PAGES, '/react.js': react.text, '/readme.js': readme });
    chromium = await startChromium();
  });

  after(async () => {
    pages?.stop();
    await chromium?.stop();
  });

  for (const [place, path] of Object.entries({
    'a page': '/page.html', 'a dedicated worker': '/worker.html', 'a shared worker': '/worker.html?shared',
  })) {
    test(`V201, V207: the scripts pass in ${place}`, async t => {
      const opened = await chromium.open(pages.url + path);
      await opened.waitFor('globalThis.isReady');
      const driver = Object.fromEntries(['start', 'call', 'advance', 'emitted', 'received', 'stop']
        .map(name => [name, (...parameters) => opened.evaluate(`drive(${JSON.stringify([name, ...parameters])})`)]));
      for (const [file, script] of scripts) {
        if (place !== 'a page' && script.needs?.some(need => need === 'page' || need === 'storage')) continue;
        await play(script, driver).catch(error => {
          throw new Error(`${file}: ${error.message}`);
        });
      }
      opened.close();
      t.diagnostic(`${scripts.length} scripts`);
    });
  }

  describe('a page', { skip: noServer }, () => {
    let server;

    before(async () => {
      server = await startServer();
    });

    after(() => server?.stop());

    const open = async query => {
      const opened = await chromium.open(`${pages.url}/stored.html?${query}#${encodeURIComponent(server.url)}`);
      // `const` of a script is not a member of the window.
      opened.is = expression => opened.waitFor(`(() => { try { return ${expression} } catch { return false } })()`);
      await opened.is("client.status.state === 'online'");
      return opened;
    };
    /** Publishes to a client until the server says that it is away. */
    const publishToAway = async (uuid, message) => {
      await eventually('the client is away', async () => (await server.publish({ uuid }, 'probe')).matched === 0);
      await server.publish({ uuid }, message);
    };

    test('V204: a page that is loaded again with a storage is the same client', async () => {
      const opened = await open('stored');
      const uuid = await opened.evaluate('client.uuid');
      await opened.call('Page.navigate', { url: `${pages.url}/other.html` });
      await publishToAway(uuid, 'kept');
      await opened.evaluate('history.back()');
      await opened.is("client.status.state === 'online' && recoveries.length > 0");
      assert.equal(await opened.evaluate('client.uuid'), uuid);
      await opened.is("messages.includes('kept')");
      assert.equal(await opened.evaluate('messages.filter(data => data === "kept").length'), 1);
      await opened.call('Page.reload');
      await opened.is(`client.status.state === 'online' && client.uuid === ${JSON.stringify(uuid)} && !messages.length`);
      opened.close();
    });

    test('V203: a tab that is duplicated with its storage is a client of its own', async () => {
      const opened = await open('stored');
      const uuid = await opened.evaluate('client.uuid');
      // The storage has the token of this connection.
      await opened.is("sessionStorage.length === 1 && sessionStorage.getItem(sessionStorage.key(0)).includes('resume')");
      const before = new Set((await chromium.targets()).map(({ targetId }) => targetId));
      await opened.call('Runtime.evaluate', { expression: 'window.open(location.href)', userGesture: true });
      const found = await eventually('the copy', async () =>
        (await chromium.targets()).find(({ targetId, url }) => !before.has(targetId) && url.includes('stored')));
      const copy = await chromium.attach(found.targetId);
      await copy.waitFor("(() => { try { return client.status.state === 'online' } catch { return false } })()");
      assert.notEqual(await copy.evaluate('client.uuid'), uuid);
      assert.deepEqual(await copy.evaluate('recoveries'),
        [{ resumed: false, recovered: false, replayed: 0, reason: 'new' }]);
      await server.publish({ uuid }, 'to the first');
      await opened.is("messages.join() === 'to the first'");
      assert.equal(await opened.evaluate('client.status.state + recoveries.length'), 'online1');
      copy.close();
      opened.close();
    });

    test('V202: a page that comes out of the back/forward cache resumes', async () => {
      const opened = await open('');
      const uuid = await opened.evaluate('client.uuid');
      await opened.evaluate('globalThis.isCached = true');
      await opened.call('Page.navigate', { url: `${pages.url}/other.html` });
      await publishToAway(uuid, 'kept');
      await opened.evaluate('history.back()');
      await opened.is("client.status.state === 'online'");
      assert.equal(await opened.evaluate('isCached'), true);
      assert.equal(await opened.evaluate('client.uuid'), uuid);
      await opened.is("messages.at(-1) === 'kept' && recoveries.length === 2");
      opened.close();
    });
  });

  test('V199: the lines of the README work in a page', { skip: noServer }, async () => {
    const server = await startServer();
    try {
      const opened = await chromium.open(`${pages.url}/readme.html#${encodeURIComponent(server.url)}`);
      await opened.waitFor('globalThis.uuid && shown.length === 2');
      assert.deepEqual(await opened.evaluate('shown'), [['online'], [await opened.evaluate('uuid'), 'hello']]);
      opened.close();
    } finally {
      await server.stop();
    }
  });

  test('V206: components of React keep one connection, join a topic once, and watch as long as they are mounted', async () => {
    const opened = await chromium.open(`${pages.url}/react.html`);
    await opened.waitFor('globalThis.result');
    const { uuid, ...result } = await opened.evaluate('result');
    assert.deepEqual(result, {
      // StrictMode mounts each component twice.
      joined: [[['news'], []]],
      tags: [[['news'], []], [[], ['news']], [['news'], []], [[], ['news']]],
      seen: [[1, 'news', 'none'], [2, null, 1], [3, 'news', 1]],
      recoveries: [true],
      // Two hooks are mounted twice, and one of them changes its room. What the server has ended needs no `unwatch`.
      watches: [5, 3],
      clients: 3,
      error: 'no TagcastProvider around this component',
    });
    assert.equal(uuid, 'client-1');
    opened.close();
  });

  test('examples/chat.html: rooms, and messages to others in the room', { skip: noServer }, async () => {
    const server = await startServer();
    try {
      const file = new URL('../../../examples/chat.html', import.meta.url);
      const open = () => chromium.open(`${file}?server=${encodeURIComponent(server.url)}`);
      const [a, b] = [await open(), await open()];
      const shows = text => `document.getElementById('messages').textContent.includes(${JSON.stringify(text)})`;
      const say = (page, text) => page.evaluate(
        `at('text').value = ${JSON.stringify(text)}; at('form').requestSubmit()`);
      for (const page of [a, b]) await page.waitFor("document.getElementById('state').textContent === 'online'");
      await b.evaluate("at('name').value = 'Bob'; at('room').value = 'garden'; at('room').onchange()");
      await b.waitFor(shows('you are in the garden'));
      await say(a, 'in the kitchen');
      await a.evaluate("at('room').value = 'garden'; at('room').onchange()");
      await b.waitFor(shows('Ada came in'));
      await say(b, 'hello Ada');
      await a.waitFor(shows('Bob: hello Ada'));
      assert.equal(await b.evaluate(shows('in the kitchen')), false);
      server.killWorkers();
      for (const page of [a, b]) await page.waitFor(shows('messages may be missing'));
      await say(a, 'still here');
      await b.waitFor(shows('Ada: still here'));
    } finally {
      await server.stop();
    }
  });

  test('examples/chat-js: who is here, and a history after a reload', { skip: noServer }, async () => {
    const server = await startServer({ application: '    history: 100\n    rewind: 50\n' });
    try {
      const file = new URL('../../../examples/chat-js/index.html', import.meta.url);
      const open = room => chromium.open(`${file}?room=${room}&server=${encodeURIComponent(server.url)}`);
      const texts = id => `[...document.querySelectorAll('#${id} li')].map(({ textContent }) => textContent)`;
      const shows = text => `${texts('messages')}.some(line => line.includes(${JSON.stringify(text)}))`;
      const here = (...names) => `${texts('members')}.join() === ${JSON.stringify(names.join())}`;
      const set = (page, id, value) => page.evaluate(
        `at('${id}').value = ${JSON.stringify(value)}; at('${id}').dispatchEvent(new Event('change'))`);
      const say = async (page, text) => {
        await set(page, 'text', text);
        await page.evaluate("at('form').requestSubmit()");
      };
      const [a, b, other] = [await open('kitchen'), await open('kitchen'), await open('garden')];
      for (const page of [a, b, other]) await page.waitFor("at('state').textContent === 'online'");
      for (const [page, name] of [[b, 'Ben'], [other, 'Cid'], [a, '<b>Ada</b>']]) await set(page, 'name', name);
      for (const page of [a, b]) await page.waitFor(here('<b>Ada</b>', 'Ben'));
      await other.waitFor(here('Cid'));
      await say(a, '<img src=x onerror=alert(1)>');
      for (const page of [a, b]) await page.waitFor(shows('<img src=x onerror=alert(1)>'));
      await say(b, 'second');
      await a.waitFor(shows('second'));
      // A message of another client may be anything.
      for (const data of ['null', '"text"', '{ by: { toString: 1 } }']) {
        await other.evaluate(`client.publish({ tags: { room } }, ${data}, { event: 'said' })`);
      }
      await say(other, 'still here');
      await other.waitFor(shows('still here'));
      await b.call('Page.reload');
      await b.waitFor("typeof at === 'function' && at('state').textContent === 'online'");
      await b.waitFor(shows('second'));
      const [first, second] = await b.evaluate(texts('messages'));
      assert.match(first, /<b>Ada<\/b><img src=x onerror=alert\(1\)>$/);
      assert.match(second, /second$/);
      await set(b, 'name', 'Ben');
      await b.waitFor(here('<b>Ada</b>', 'Ben'));
      assert.equal(await b.evaluate("document.querySelectorAll('#messages img, #members b').length"), 0);
      server.killWorkers();
      await say(a, 'after the crash');
      await b.waitFor(shows('after the crash'));
      for (const page of [a, b]) await page.waitFor(here('<b>Ada</b>', 'Ben'));
      assert.equal(await b.evaluate(shows('may be missing')), false);
    } finally {
      await server.stop();
    }
  });

  test('V207: a page with the classic script publishes, and continues after its worker was killed',
    { skip: noServer }, async () => {
      const server = await startServer();
      try {
        const open = () => chromium.open(`${pages.url}/classic.html?server=${encodeURIComponent(server.url)}`);
        const [a, b] = [await open(), await open()];
        for (const each of [a, b]) await each.waitFor("client.status.state === 'online'");
        const publish = text => a.evaluate(`client.publish({ tags: { room: '1' } }, ${JSON.stringify(text)}, { except: 'self' })`);
        await publish('one');
        await b.waitFor("messages.join() === 'one'");
        await b.evaluate("client.tag({ set: { room: '2' } })");
        await publish('missed');
        await server.publish({ tags: { room: '2' } }, 'two');
        await b.waitFor("messages.join() === 'one,two'");
        server.killWorkers();
        await b.waitFor("states.includes('waiting')");
        for (const each of [a, b]) await each.waitFor("client.status.state === 'online' && recoveries.length === 2");
        await a.evaluate("client.publish({ tags: { room: '2' } }, 'three')");
        await b.waitFor("messages.join() === 'one,two,three'");
        assert.equal(await b.evaluate('recoveries[1].recovered'), false);
      } finally {
        await server.stop();
      }
    });
});
