/** For tests of programs that use `tagcast-client`. */
export { testClock, type TestClock } from './testing/clock.js';
