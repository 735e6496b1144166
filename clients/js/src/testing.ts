/** For tests of programs that use `tagcast-client`. */
export { testClock, type TestClock } from './testing/clock.js';
export type { TestRecord } from './testing/record.js';
export { TestServer, type TestHandler } from './testing/server.js';
export type { PresenceSettings } from './testing/watches.js';
