// A headless Chromium, driven by its DevTools protocol, and a server of pages for it.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { eventually } from './server.mjs';

/** Why tests of pages cannot run, or false. */
export const missing = spawnSync('chromium', ['--version']).error ? 'chromium is missing' : false;

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

/** Serves this folder, and `pages` (path and text), under a strict Content-Security-Policy. */
export async function servePages(pages) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://x').pathname;
    try {
      const body = pages[path] ?? readFileSync(join(ROOT, path));
      response.writeHead(200, {
        'content-type': TYPES[extname(path)] ?? 'text/plain',
        'content-security-policy': "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src ws://127.0.0.1:*",
      }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () => server.closeAllConnections() ?? server.close(),
  };
}

/** One connection to the browser or to a page of it. */
async function devtools(url) {
  const socket = new WebSocket(url);
  await once(socket, 'open');
  const waiting = new Map();
  const events = [];
  socket.on('message', text => {
    const { id, result, error, ...event } = JSON.parse(text);
    if (id === undefined) events.push(event);
    else if (error) waiting.get(id).reject(new Error(error.message));
    else waiting.get(id).resolve(result);
  });
  let last = 0;
  return {
    events,
    close: () => socket.close(),
    call: (method, params = {}) => new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      socket.send(JSON.stringify({ id: last, method, params }));
    }),
  };
}

/** Starts the browser. `open` opens a page in it. */
export async function startChromium() {
  const profile = mkdtempSync(join(tmpdir(), 'tagcast-js-chromium-'));
  const process = spawn('chromium', [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-sync', '--disable-component-update', '--disable-background-timer-throttling',
    '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows', '--remote-debugging-port=0',
    '--remote-allow-origins=*', `--user-data-dir=${profile}`, 'about:blank',
  ], { stdio: ['ignore', 'ignore', 'pipe'] });
  const address = await new Promise((done, fail) => {
    createInterface({ input: process.stderr }).on('line', line => {
      const found = /DevTools listening on (ws:\S+)/.exec(line);
      if (found) done(found[1]);
    });
    process.on('exit', code => fail(new Error(`chromium ended with ${code}`)));
  });
  const browser = await devtools(address);
  const attach = async targetId => {
    const tools = await devtools(`${address.split('/devtools/')[0]}/devtools/page/${targetId}`);
    const evaluate = async expression => {
      const { result, exceptionDetails } = await tools.call('Runtime.evaluate',
        { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    return {
      ...tools,
      evaluate,
      waitFor: expression => eventually(expression, () => evaluate(expression).catch(() => false)),
    };
  };
  return {
    attach,
    targets: async () => (await browser.call('Target.getTargets')).targetInfos,
    async open(url) {
      const { browserContextId } = await browser.call('Target.createBrowserContext', { disposeOnDetach: true });
      const { targetId } = await browser.call('Target.createTarget', { url, browserContextId });
      return { ...await attach(targetId), targetId };
    },
    async stop() {
      process.removeAllListeners('exit');
      const ended = once(process, 'exit');
      await browser.call('Browser.close');
      await ended;
      // Its children may still write for a moment.
      await eventually('the profile is removed', () => {
        try {
          rmSync(profile, { recursive: true, force: true });
          return true;
        } catch {
          return false;
        }
      });
    },
  };
}
