/** What the classic script `tagcast.js` has as members of its global `tagcast`. */
export * from './index.js';
export { watch } from './presence.js';
