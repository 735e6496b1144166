// The scripted server: plays one side of a script, and checks what a client library does on the other side.
//
// A library is tested by a driver, which makes a client and calls it. In Node a driver is an object (`play`); for any
// other language it is a program that reads commands, one JSON object in a line, and answers each by one line:
//
//     node server.mjs SCRIPT.json… -- DRIVER ARGUMENT…
//
// Each script has a driver of its own. README.md describes scripts and drivers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

// `ws` is a development dependency of the JavaScript client; this folder has none of its own.
const { WebSocketServer } = createRequire(new URL('../js/package.json', import.meta.url))('ws');

/** How long a fact may take to become true, in ms. */
const PATIENCE = 5000;

/** One connection of the client, as the server sees it. */
class Peer {
  constructor(socket, index) {
    this.socket = socket;
    /** Its number among all connections, from 0. */
    this.index = index;
    this.sent = 0;
    this.frames = [];
    this.isPaused = false;
    this.isOpen = true;
    this.settled = () => {};
    socket.on('pong', () => this.settled());
    socket.on('message', (data, isBinary) => this.frames.push(isBinary ? data : JSON.parse(data)));
    socket.on('close', () => {
      this.isOpen = false;
      this.settled();
    });
    socket.on('error', () => {});
  }

  /** Returns when the client has read everything that was sent to it, and the server what the client has sent. */
  async settle(driver) {
    if (this.isPaused) return;
    // A browser answers a ping before the page has seen what came before it.
    if (driver.received && this.isOpen) {
      await eventually(() => 'the client has got everything', async () => await driver.received(this.index) >= this.sent);
    }
    if (this.socket.readyState !== 1) return;
    await new Promise(done => {
      this.settled = done;
      this.socket.ping();
    });
  }
}

/** Waits until `look` returns something. */
async function eventually(what, look) {
  const until = Date.now() + PATIENCE;
  for (let looks = 1; ; looks++) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > until) throw new Error(`did not happen in ${PATIENCE} ms: ${what()}`);
    // Most facts are true as soon as what has arrived is read.
    await new Promise(done => looks < 20 ? setImmediate(done) : setTimeout(done, 2));
  }
}

/** Whether `actual` has all members of `expected`. A text `$name` binds at first, and must be equal after that. */
function matches(expected, actual, bound) {
  if (typeof expected === 'string' && expected.startsWith('$')) {
    if (!Object.hasOwn(bound, expected)) bound[expected] = actual;
    return actual !== undefined && isDeepStrictEqual(bound[expected], actual);
  }
  if (Array.isArray(expected)) {
    return Array.isArray(actual) && expected.length === actual.length &&
      expected.every((item, at) => matches(item, actual[at], bound));
  }
  if (expected === null || typeof expected !== 'object') return Object.is(expected, actual);
  return actual !== null && typeof actual === 'object' && Object.entries(expected)
    .every(([name, value]) => matches(value, Object.hasOwn(actual, name) ? actual[name] : undefined, bound));
}

/** Puts what is bound in the place of `$name`. */
function filled(value, bound) {
  if (typeof value === 'string') return Object.hasOwn(bound, value) ? bound[value] : value;
  if (Array.isArray(value)) return value.map(item => filled(item, bound));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item, bound)]));
}

const text = value => JSON.stringify(value);

/** The `welcome` of a new client. */
const WELCOME = {
  op: 'welcome', uuid: 'u1', resumed: false, reason: null, ids: null, resume: 'r1', grace: 60, tags: {}, topics: [],
  at: 'e.1', recovering: null, ping: 20, permissions: ['publish', 'tag'], features: ['history', 'ask', 'report'],
  limits: { message: 5242880, tags: 128, topics: 100, event: 64 }, expires: null,
  time: 1795890000123, server: 'tagcast/0.2.0',
};

/** What the steps of a script do. Each gets the value of its member, the step and the game. */
const STEPS = {
  async accept(_, step, game) {
    const peer = await eventually(() => 'a connection', () => game.arrived.shift());
    if (peer.socket.protocol !== 'tagcast.v1') throw new Error('the client does not offer tagcast.v1');
    game.peers[step.as ?? 'last'] = game.peers.last = peer;
  },

  async expect(expected, step, game) {
    const peer = game.peer(step);
    for (let n = 0; n < (step.times ?? 1); n++) {
      const frame = await eventually(() => text(expected), () => peer.frames.shift());
      if (!matches(expected, frame, game.bound)) throw new Error(`expected ${text(expected)}, got ${text(frame)}`);
      const extra = (step.without ?? []).filter(name => name in frame);
      if (extra.length) throw new Error(`has ${extra}: ${text(frame)}`);
    }
  },

  async send(frame, step, game) {
    const peer = game.peer(step);
    peer.socket.send(typeof frame === 'string' ? frame : text(filled(frame, game.bound)));
    peer.sent++;
    await peer.settle(game.driver);
  },

  /** A `welcome` with these members in place of the usual ones; null leaves one out. */
  async welcome(members, step, game) {
    const frame = { ...WELCOME, ...filled(members, game.bound) };
    await STEPS.send(Object.fromEntries(Object.entries(frame).filter(([, value]) => value !== null)), step, game);
  },

  async close({ code, reason }, step, game) {
    await game.noticed(step, peer => peer.socket.close(code, reason));
  },

  async reset(_, step, game) {
    await game.noticed(step, peer => peer.socket.terminate());
  },

  /** The server stops to read, as if the network swallowed what the client sends. */
  async pause(_, step, game) {
    const peer = game.peer(step);
    peer.socket.pause();
    peer.isPaused = true;
  },

  async silence(_, step, game) {
    const peer = game.peer(step);
    await peer?.settle(game.driver);
    if (peer?.frames.length) throw new Error(`sent ${text(peer.frames)}`);
    if (game.arrived.length) throw new Error('a connection was made');
  },

  /** The client closes the connection. */
  async closed(_, step, game) {
    const peer = game.peer(step);
    await eventually(() => 'the client closes', () => !peer.isOpen);
  },

  async advance(ms, step, game) {
    await game.peers.last?.settle(game.driver);
    await game.driver.advance(ms, step.late ?? false);
  },

  async call(_, step, game) {
    const { times = 1, ...call } = step;
    for (let n = 0; n < times; n++) await game.driver.call(filled(call, game.bound));
  },

  async emitted(expected, _, game) {
    let seen = [];
    const next = async () => {
      seen = (await game.emitted()).slice(game.consumed, game.consumed + expected.length);
      return seen.length === expected.length;
    };
    await eventually(() => `${text(expected)}; emitted was ${text(seen)}`, next);
    if (!matches(expected, seen, game.bound)) throw new Error(`expected ${text(expected)}, emitted ${text(seen)}`);
    game.consumed += expected.length;
  },
};

/**
 * Plays a script against a driver. Rejects with the step that failed.
 *
 * A driver has `start({url, options, random})`, `call(step)`, `advance(ms, isLate)`, `emitted()` (everything since the
 * start) and `stop()`. It may have `received(n)`, which says how many messages the n-th connection has got. Each may
 * return a promise.
 */
export async function play(script, driver) {
  const server = new WebSocketServer({
    port: 0, host: '127.0.0.1', handleProtocols: offered => offered.has('tagcast.v1') && 'tagcast.v1',
  });
  await once(server, 'listening');
  const arrived = [];
  let connections = 0;
  server.on('connection', socket => arrived.push(new Peer(socket, connections++)));
  const game = {
    driver, arrived, bound: {}, peers: {}, consumed: 0,
    peer: step => game.peers[step.on ?? 'last'],
    /** Ends a connection, and waits until the client has changed its state. */
    async noticed(step, end) {
      const states = async () => (await driver.emitted()).filter(event => 'status' in event).length;
      const before = await states();
      end(game.peer(step));
      if (!step.on) await eventually(() => 'the client notices', async () => await states() > before);
    },
    async emitted() {
      const all = await driver.emitted();
      return script.watch ? all.filter(event => script.watch.some(kind => kind in event)) : all;
    },
  };
  try {
    const { options = {}, random = 0.5 } = script;
    await driver.start({ url: `ws://127.0.0.1:${server.address().port}/`, options, random });
    for (const [at, step] of script.steps.entries()) {
      const kind = Object.keys(step).find(name => Object.hasOwn(STEPS, name));
      if (!kind) throw new Error(`step ${at} is of no kind: ${text(step)}`);
      await STEPS[kind](step[kind], step, game).catch(error => {
        throw new Error(`step ${at} ${text(step)}: ${error.message}`);
      });
    }
    await game.peers.last?.settle(driver);
    const rest = (await game.emitted()).slice(game.consumed);
    if (rest.length) throw new Error(`emitted as well: ${text(rest)}`);
  } finally {
    await driver.stop();
    for (const socket of server.clients) socket.terminate();
    server.close();
  }
}

/** A driver in another process. */
function processDriver([program, ...parameters]) {
  const child = spawn(program, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async command => {
    child.stdin.write(`${text(command)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('the driver has ended');
    const { error, result } = JSON.parse(value);
    if (error) throw new Error(error);
    return result;
  };
  return {
    start: setup => ask({ do: 'start', ...setup }),
    call: step => ask({ do: 'call', step }),
    advance: (ms, late) => ask({ do: 'advance', ms, late }),
    emitted: () => ask({ do: 'emitted' }),
    async stop() {
      child.stdin.end('{"do":"stop"}\n');
      await once(child, 'exit');
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const parameters = process.argv.slice(2);
  const dashes = parameters.indexOf('--');
  const files = parameters.slice(0, dashes);
  const driver = parameters.slice(dashes + 1);
  if (dashes < 1 || !driver.length) {
    console.error('usage: node server.mjs SCRIPT.json… -- DRIVER ARGUMENT…');
    process.exit(64);
  }
  for (const file of files) {
    try {
      await play(JSON.parse(readFileSync(file, 'utf8')), processDriver(driver));
      console.log(`${file}: passed`);
    } catch (error) {
      console.error(`${file}: ${error.message}`);
      process.exitCode = 1;
    }
  }
}
