// Builds `dist`: modules and their types, and two classic scripts: `tagcast.js` with the global `tagcast`, and
// `socketWebClient.js` with the function of this name.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

process.chdir(new URL('..', import.meta.url).pathname);
rmSync('dist', { recursive: true, force: true });
execFileSync('node_modules/.bin/tsc', { stdio: 'inherit' });
const common = { bundle: true, target: 'es2022', legalComments: 'none' };
await build({ ...common, entryPoints: ['src/index.ts', 'src/testing.ts'], format: 'esm', outdir: 'dist' });
// They import the other entries instead of having them in their own files.
await build({ ...common, entryPoints: ['src/legacy.ts', 'src/presence.ts', 'src/react.ts'], external: ['./index.js', './presence.js', 'react'], format: 'esm', outdir: 'dist' });
const script = { ...common, format: 'iife', minify: true };
await build({ ...script, entryPoints: ['src/classic.ts'], globalName: 'tagcast', outfile: 'dist/tagcast.js' });
await build({
  ...script, entryPoints: ['src/legacy.ts'], globalName: 'tagcastLegacy', outfile: 'dist/socketWebClient.js',
  footer: { js: 'var { socketWebClient } = tagcastLegacy;' },
});
