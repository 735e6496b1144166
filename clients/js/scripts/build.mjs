// Builds `dist`: the module and its types, and `tagcast.js`, a classic script with the global `tagcast`.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

process.chdir(new URL('..', import.meta.url).pathname);
rmSync('dist', { recursive: true, force: true });
execFileSync('node_modules/.bin/tsc', { stdio: 'inherit' });
const common = { bundle: true, target: 'es2022', legalComments: 'none' };
await build({ ...common, entryPoints: ['src/index.ts', 'src/react.ts', 'src/testing.ts'], external: ['react'], format: 'esm', outdir: 'dist' });
await build({
  ...common, entryPoints: ['src/index.ts'], format: 'iife', globalName: 'tagcast', minify: true, outfile: 'dist/tagcast.js',
});
