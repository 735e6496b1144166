// The scripts of clients/conformance.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import WebSocket from 'ws';
import { play } from '../../conformance/server.mjs';
import { driver } from './driver.mjs';

const folder = new URL('../../conformance/scripts/', import.meta.url);

for (const file of readdirSync(folder).sort()) {
  const script = JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
  test(`${script.case}: ${script.name} (${file})`, () => play(script, driver(WebSocket)));
}

test('a driver in another process plays a script', async () => {
  const path = name => fileURLToPath(new URL(name, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [
    path('../../conformance/server.mjs'), path('../../conformance/scripts/resume.json'), '--',
    process.execPath, path('driver-process.mjs'),
  ]);
  if (!stdout.includes('resume.json: passed')) throw new Error(stdout);
});

/** V186: fifty messages, cut after each of them. */
test('V186: each of fifty messages is handled once, wherever the connection is cut', async t => {
  const message = n => ({ op: 'msg', at: `e.${n}`, data: n });
  for (let cut = 0; cut <= 50; cut++) {
    const numbers = [...Array(50).keys()].map(n => n + 2);
    const steps = [
      { accept: true },
      { expect: { op: 'hello' } },
      { welcome: {} },
      ...numbers.slice(0, cut).map(n => ({ send: message(n) })),
      { reset: true },
      { advance: 500 },
      { accept: true },
      { expect: { op: 'hello', resume: 'r1', since: `e.${cut + 1}` } },
      { welcome: { resumed: true, ids: 'kept', at: null, recovering: true } },
      ...numbers.slice(cut).map(n => ({ send: message(n) })),
      { send: { op: 'recovery', recovered: true, replayed: 50 - cut, at: 'e.51' } },
      { expect: { op: 'pong' } },
      { emitted: numbers.map(n => ({ message: n })) },
    ];
    await play({ watch: ['message'], steps }, driver(WebSocket)).catch(error => {
      t.diagnostic(`cut after ${cut}`);
      throw error;
    });
  }
});
