// Measures what each entry costs a page: minified, `gzip -9`. Fails above its limit.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

process.chdir(new URL('..', import.meta.url).pathname);

/** Bytes at most. */
const LIMITS = { index: 4200, legacy: 1200, react: 900, presence: 620 };

let isTooLarge = false;
for (const [entry, limit] of Object.entries(LIMITS)) {
  const { outputFiles: [bundle] } = await build({
    entryPoints: [`src/${entry}.ts`], bundle: true, external: entry === 'index' ? [] : ['./index.js', './presence.js', 'react'], minify: true, format: 'esm', target: 'es2022', write: false,
  });
  const size = gzipSync(bundle.contents, { level: 9 }).length;
  console.log(`${entry}: ${size} of ${limit} bytes`);
  isTooLarge ||= size > limit;
}
process.exitCode = isTooLarge ? 1 : 0;
