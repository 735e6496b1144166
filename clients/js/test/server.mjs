// The real server, for tests: `TAGCAST_BIN`, or the debug binary.
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.TAGCAST_BIN ?? fileURLToPath(new URL('../../../target/debug/tagcast', import.meta.url));
const SECRET = 'k3y-for-tests-only-0123456789abcdef';

/** Why tests of the server cannot run, or false. */
export const missing = existsSync(BINARY) ? false : `${BINARY} does not exist: cargo build`;

const AUTH = application => `applications:
  - key: shop
    tenant: shop
    secret: ${SECRET}
    authorizeOpen: true
    presence: any
    presenceTags: [name]
${application}    clientPublish: true
    tokens: [{ id: main, alg: HS256, secret: own }]
`;

/** A connection token of the application `shop`. */
export function token(claims) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const signed = `${part({ alg: 'HS256', kid: 'main' })}.${part({ aud: 'shop', exp, ...claims })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

/** Waits until `look` returns something true. */
export async function eventually(what, look) {
  const until = Date.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > until) throw new Error(`did not happen in 20 s: ${what}`);
    await new Promise(done => setTimeout(done, 10));
  }
}

/** The children of a process, with their command lines. */
function children(pid) {
  return readdirSync(`/proc/${pid}/task`).flatMap(task =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(child =>
      ({ pid: Number(child), command: readFileSync(`/proc/${child}/cmdline`, 'utf8').replaceAll('\0', ' ') })));
}

/** Starts a server with the application `shop`, which has these further lines of `auth.yml`. `port` of a server that has ended starts it again in the same place. */
export async function startServer({ port = 0, ini = '', application = '' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tagcast-js-'));
  writeFileSync(join(folder, 'websock.ini'),
    `[websocketserver]\nadress = ws://127.0.0.1:${port}\nworkers = 2\nuuidKey = ${'01'.repeat(32)}\n${ini}\n`);
  writeFileSync(join(folder, 'auth.yml'), AUTH(application));
  const process = spawn(BINARY, ['serve', '-i', 'websock.ini'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = [];
  const listens = new Promise((done, fail) => {
    const read = line => {
      output.push(line);
      const found = /listening on ws:\/\/[^\s]*?:(\d+)/.exec(line);
      if (found) done(Number(found[1]));
    };
    createInterface({ input: process.stdout }).on('line', read);
    createInterface({ input: process.stderr }).on('line', read);
    process.on('exit', code => fail(new Error(`the server ended with ${code}\n${output.join('\n')}`)));
  });
  const listened = await listens;
  const url = `127.0.0.1:${listened}`;
  return {
    port: listened,
    url: `ws://${url}/?key=shop`,
    /** Publishes as a backend. Returns the report. */
    async publish(to, message, members = {}) {
      const answer = await fetch(`http://${url}/v1/apps/shop/publish`, {
        method: 'POST',
        headers: { authorization: `Bearer ${SECRET}`, 'content-type': 'application/json' },
        body: JSON.stringify({ to, message, ...members }),
      });
      if (!answer.ok) throw new Error(await answer.text());
      return answer.json();
    },
    /** Kills all workers, as a crash would. */
    killWorkers() {
      const workers = children(process.pid).filter(({ command }) => /\bworker\b/.test(command));
      if (!workers.length) throw new Error('no process is a worker');
      for (const { pid } of workers) globalThis.process.kill(pid, 'SIGKILL');
      return workers.length;
    },
    async stop(signal = 'SIGTERM') {
      const ended = process.exitCode === null && process.signalCode === null && once(process, 'exit');
      process.kill(signal);
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
