// Builds `dist`: modules and their types, and two classic scripts: `tagcast.js` with the global `tagcast`, and
// `socketWebClient.js` with the function of this name.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

process.chdir(new URL('..', import.meta.url).pathname);
rmSync('dist', { recursive: true, force: true });
execFileSync('node_modules/.bin/tsc', { stdio: 'inherit' });
const common = { bundle: true, target: 'es2022', legalComments: 'none' };
await build({ ...common, entryPoints: ['src/index.ts', 'src/react.ts', 'src/testing.ts'], external: ['react'], format: 'esm', outdir: 'dist' });
// It imports the core instead of having one of its own.
await build({ ...common, entryPoints: ['src/legacy.ts', 'src/presence.ts'], external: ['./index.js'], format: 'esm', outdir: 'dist' });
const script = { ...common, format: 'iife', minify: true };
await build({ ...script, entryPoints: ['src/index.ts'], globalName: 'tagcast', outfile: 'dist/tagcast.js' });
await build({
  ...script, entryPoints: ['src/legacy.ts'], globalName: 'tagcastLegacy', outfile: 'dist/socketWebClient.js',
  footer: { js: 'var { socketWebClient } = tagcastLegacy;' },
});
