// What `npm pack` makes: installed into an empty folder, and imported in every way.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tagcast-pack-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const run = (program, parameters, cwd = folder) => {
  try {
    return execFileSync(program, parameters, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${program} ${parameters.join(' ')}\n${error.stdout}${error.stderr}`);
  }
};

// `npm test` has built it already.
const packed = JSON.parse(run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], root));
const [{ filename, files }] = Array.isArray(packed) ? packed : Object.values(packed);
writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}');
run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(folder, filename)]);
// React is what the user of the hooks has.
mkdirSync(join(folder, 'node_modules/@types'));
for (const name of ['react', '@types/react']) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));

test('it contains what is needed and nothing else', () => {
  const names = files.map(({ path }) => path);
  assert.deepEqual(names.filter(name => !name.startsWith('dist/')).sort(), ['LICENSE', 'README.md', 'package.json']);
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json')));
  for (const entry of Object.values(exports).flatMap(entry => typeof entry === 'string' ? entry : Object.values(entry))) {
    assert.ok(names.includes(entry.slice(2)), entry);
  }
  for (const script of ['tagcast', 'socketWebClient']) assert.ok(names.includes(`dist/${script}.js`));
});

const SHOWN = 'console.log(typeof connect, typeof TagcastError, typeof socketWebClient, typeof TestServer, typeof useTagcast, typeof watch)';

test('it is imported by a module', () => {
  writeFileSync(join(folder, 'use.mjs'),
    `import { connect, TagcastError } from 'tagcast-client';
     import { socketWebClient } from 'tagcast-client/legacy';
     import { watch } from 'tagcast-client/presence';
     import { useTagcast } from 'tagcast-client/react';
     import { TestServer } from 'tagcast-client/testing';
     ${SHOWN}`);
  assert.equal(run(process.execPath, ['use.mjs']), `${Array(6).fill('function').join(' ')}\n`);
});

test('it is imported by CommonJS', () => {
  writeFileSync(join(folder, 'use.cjs'),
    `Promise.all(['', '/legacy', '/presence', '/react', '/testing'].map(entry => import('tagcast-client' + entry)))
      .then(([{ connect, TagcastError }, { socketWebClient }, { watch }, { useTagcast }, { TestServer }]) => ${SHOWN})`);
  assert.equal(run(process.execPath, ['use.cjs']), `${Array(6).fill('function').join(' ')}\n`);
});

test('V200: it is imported by TypeScript, which finds wrong events, data and members', () => {
  cpSync(join(root, 'test/package/use.ts'), join(folder, 'use.ts'));
  for (const options of [['--module', 'nodenext'], ['--module', 'esnext', '--moduleResolution', 'bundler']]) {
    run(join(root, 'node_modules/.bin/tsc'),
      ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom', '--types', '', ...options, 'use.ts']);
  }
});

test('the lock file names no registry, and all versions are exact', () => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  assert.doesNotMatch(lock, /"resolved"|https?:/);
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json')));
  assert.equal(dependencies, undefined);
  for (const version of Object.values(devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
});

test('the classic scripts have the globals `tagcast` and `socketWebClient`', () => {
  const global = (file, name) =>
    new Function(`${readFileSync(join(root, 'dist', file), 'utf8')}; return ${name};`)();
  const { connect, watch } = global('tagcast.js', 'tagcast');
  assert.deepEqual([typeof connect, typeof watch], ['function', 'function']);
  assert.equal(typeof global('socketWebClient.js', 'socketWebClient')('ws://x', '/web').init, 'function');
});
