// Plays the client's side of the scripts in clients/conformance, in Node, pages and workers. See the README there.
import { connect } from '../dist/index.js';
import { watch } from '../dist/presence.js';
import { testClock } from '../dist/testing.js';

const enqueue = globalThis.queueMicrotask;
/** Whether there is a page with events of its own. */
const inPage = 'document' in globalThis;

/** A driver for `play` of the scripted server. */
export function driver(WebSocket) {
  const emitted = [];
  const emit = event => emitted.push(event);
  /** What the client takes for a page. */
  const page = inPage ? globalThis : new EventTarget();
  const restore = {};
  /** How many messages each socket has got. */
  const received = [];
  const offs = new Map();
  const aborts = new Map();
  let clock, client;

  /** What a handler of the script does. */
  const behave = step => {
    if (step.throws) throw new Error(step.throws);
    return step.never ? new Promise(() => {}) : step.returns;
  };

  const settled = (name, promise) => promise.then(
    value => emit({ result: name, ...(value !== undefined && { value }) }),
    ({ code, message, retry, retryAfter, name: kind }) =>
      emit({ failed: name, code: kind === 'AbortError' ? 'aborted' : code, message, retry, ...(retryAfter && { retryAfter }) }),
  );

  const calls = {
    together: step => step.calls.forEach(each => calls[each.call](each)),
    open: () => { client.open(); },
    close: () => { client.close(); },
    ready: step => settled(step.as, client.ready()),
    publish: step => settled(step.as, step.topic
      ? client.topic(step.topic).publish(step.event, step.data, step.options)
      : client.publish(step.to, step.bytes ? 'x'.repeat(step.bytes) : step.data, step.options)),
    tag: step => settled(step.as, client.tag(step.change)),
    request: step => settled(step.as, client.request(step.op, step.members, step.offline)),
    ask(step) {
      aborts.set(step.as, new AbortController());
      settled(step.as, client.ask(step.to, step.data, { ...step.options, signal: aborts.get(step.as).signal }));
    },
    abort: step => aborts.get(step.as).abort(),
    on(step) {
      const handler = data => {
        emit({ handler: step.as, data });
        behave(step);
      };
      offs.set(step.as, (step.topic ? client.topic(step.topic) : client).on(step.event, handler));
    },
    answer(step) {
      offs.set(step.as, client.answer(step.event, (data, { signal }) => {
        emit({ asked: step.event, data });
        signal.addEventListener('abort', () => emit({ aborted: step.event }));
        return behave(step);
      }));
    },
    watch(step) {
      const onChange = ({ count, users, members, isLong, ended }) => emit({
        presence: step.as, count, users, members: [...members.keys()].sort(), long: isLong, ...(ended && { ended }),
      });
      offs.set(step.as, watch(client, step.query, { mode: step.mode, onChange }).off);
    },
    unwatch: step => offs.get(step.as)(),
    off: step => offs.get(step.as)(),
    tags: step => emit({ [step.as]: client.tags, topics: client.topics }),
    /** An event of the page. */
    page({ event, visible, persisted = false }) {
      if (!inPage) page.hidden = visible === false;
      const target = visible !== undefined && inPage ? document : page;
      target.dispatchEvent(Object.assign(new Event(event), { persisted }));
    },
  };

  const observe = () => {
    client.onStatus(({ state, retryAt, ...rest }) =>
      emit({ status: state, ...(retryAt !== undefined && { in: retryAt - clock.Date.now() }), ...rest }));
    client.on('*', (data, { data: _, ...message }) => emit({ message: data, ...message }));
    client.onRecovery(recovery => emit({ recovery }));
    client.onTags((tags, topics) => emit({ tags, topics }));
  };

  return {
    start({ url, options: { tokens, storage, answers = {}, ...options }, random }) {
      class Counted extends WebSocket {
        constructor(...parameters) {
          super(...parameters);
          const n = received.push(0) - 1;
          this.addEventListener('message', () => received[n]++);
        }
      }
      for (const [name, value] of Object.entries({
        ...(!inPage && { document: page, addEventListener: page.addEventListener.bind(page) }),
        // What nothing catches there is for the environment, which here is the test runner.
        queueMicrotask: run => enqueue(() => {
          try {
            run();
          } catch (error) {
            emit({ reported: error.message });
          }
        }),
      })) {
        restore[name] = Object.getOwnPropertyDescriptor(globalThis, name);
        Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
      }
      clock = testClock({ random });
      const entries = new Map(Object.entries(storage ?? {}));
      client = connect(url, {
        ...options, clock, WebSocket: Counted, lazy: true,
        token: tokens ? ({ reason }) => {
          emit({ token: reason });
          return tokens.shift() ?? Promise.reject(new Error('no token'));
        } : options.token,
        resume: storage ? {
          name: 'entry',
          storage: {
            getItem: name => entries.get(name) ?? null,
            setItem: (name, value) => entries.set(name, value),
            removeItem: name => entries.delete(name),
          },
        } : options.resume,
      });
      observe();
      for (const [event, behaviour] of Object.entries(answers)) calls.answer({ event, ...behaviour });
      if (!options.lazy) client.open();
    },
    call(step) {
      calls[step.call](step);
    },
    advance(ms, isLate) {
      if (isLate) clock.jump(ms);
      return clock.advance(isLate ? 0 : ms);
    },
    emitted: () => emitted,
    received: n => received[n],
    stop() {
      client?.close();
      for (const [name, before] of Object.entries(restore)) {
        if (before) Object.defineProperty(globalThis, name, before);
        else delete globalThis[name];
      }
    },
  };
}
