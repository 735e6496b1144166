/** A client of `tagcast.v1`. */
export { connect } from './client.js';
export { TagcastError } from './errors.js';
export type * from './types.js';
