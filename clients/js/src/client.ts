import { answers } from './answers.js';
import { connection } from './connection.js';
import { report, TagcastError } from './errors.js';
import { listeners } from './listeners.js';
import { followPage } from './pages.js';
import { requests, type Treatment } from './requests.js';
import { resume } from './resume.js';
import { ownTags } from './tags.js';
import type {
  Clock, Events, HandlerOptions, Message, Options, Recovery, Status, Tagcast, TagChange, Tags, TokenReason,
} from './types.js';

const VERSION = '0.1.0';

/** A name of 128 random bits, for the server alone: whoever shows it takes over the connection of this client. */
const randomName = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

/**
 * Connects to a server, and keeps the connection.
 *
 * Throws a `TypeError` where there is no `WebSocket`. Everything else is reported by the status.
 */
export function connect<E extends Events = Events>(url: string, options: Options = {}): Tagcast<E> {
  const clock: Clock = options.clock ?? globalThis;
  const instance = randomName();
  const messages = listeners<[Message<any>]>();
  const statuses = listeners<[Status]>();
  const recoveries = listeners<[Recovery]>();
  const tagChanges = listeners<[Tags, readonly string[]]>();
  const frames = listeners<[any]>();
  let uuid: string | null = null;
  let features: string[] = [];
  /** Whether this client has been online, so that it can have missed something. */
  let wasOnline = false;
  /** Whether the server knew this client at its last `welcome`. */
  let isResumed = false;
  let isRecovering = false;
  /** Ends the subscriptions to events of the page. */
  let following: AbortController | undefined;

  const send = (text: string) => link.send(text);
  const pending = requests(options, clock, send);
  const position = resume(url, options, clock);
  const asked = answers(clock, send);

  /** Whether nothing can have been missed. */
  const isNew = () => !wasOnline && !position.shown().resume && !position.shown().since;

  const request = (op: string, members: object, treatment: Treatment = {}): Promise<any> =>
    link.status.state === 'closed'
      ? Promise.reject(new TagcastError({ code: 'closed' }))
      : pending.add(op, members, treatment);

  const tag = (change: TagChange, treatment: Treatment): Promise<void> =>
    request('tag', change, treatment).then(({ dropped }) => {
      if (!dropped) own.changed(change);
    });

  const own = ownTags(options, change =>
    tag(change, { offline: 'drop' }).catch(error => {
      // After the others the next `welcome` says which topics there are.
      if (!['unknown', 'closed', 'timeout'].includes(error.code)) report(error);
    }));

  const token = (reason: TokenReason) =>
    typeof options.token === 'function' ? options.token({ reason }) : options.token;

  const renewToken = async () => {
    if (typeof options.token !== 'function') return;
    try {
      await request('token', { token: await token('expires') });
    } catch (error) {
      // The server closes the connection when the present token has expired. The next one gets another token.
      options.log?.('no new token', error);
    }
  };

  const deliver = ({ op, at, ...message }: any) =>
    messages.call({ direct: false, ...message, replayed: isRecovering });

  const welcome = (frame: any) => {
    const isFirst = isNew();
    wasOnline = true;
    ({ uuid, features } = frame);
    isResumed = frame.resumed;
    isRecovering = !!frame.recovering;
    position.token(frame.resume);
    position.handled(frame);
    const isChanged = own.set(frame);
    // What was sent before comes first, in its order.
    pending.online(isResumed && frame.ids !== 'lost', frame.limits.message);
    own.align();
    changed();
    if (!isRecovering) {
      recoveries.call(isFirst
        ? { resumed: false, recovered: true, replayed: 0 }
        : { resumed: isResumed, recovered: false, replayed: 0, reason: 'new' });
    }
    if (isChanged && !isFirst) tagChanges.call(own.tags, own.topics);
    frames.call(frame);
  };

  const recovery = ({ op, at, ...found }: any) => {
    // Where nothing is recovering, `new` repeats what `welcome` has said.
    if (isRecovering || found.reason !== 'new') recoveries.call({ resumed: isResumed, ...found });
    isRecovering = false;
  };

  const changed = () => {
    options.log?.(link.status.state, link.status);
    statuses.call(link.status);
  };

  const receive = (frame: any) => {
    switch (frame.op) {
      case 'msg':
        deliver(frame);
        position.handled(frame);
        break;
      case 'recovery':
        recovery(frame);
        // It is answered like a ping.
      case 'ping': // falls through
        send('{"op":"pong"}');
        position.handled(frame);
        break;
      case 'ack':
      case 'answer':
      case 'error':
      case 'pong':
        pending.settle(frame);
        break;
      case 'ask':
        asked.asked(frame);
        break;
      case 'tags':
        own.set(frame);
        own.align();
        tagChanges.call(own.tags, own.topics);
        break;
      case 'expires':
        renewToken();
    }
    frames.call(frame);
  };

  const link = connection(url, options, clock, {
    token,
    hello: token => ({
      op: 'hello',
      instance,
      client: `tagcast-js/${VERSION}`,
      key: options.key,
      secret: options.secret,
      ident: options.ident,
      token,
      ...own.wanted(),
      ...position.shown(),
      rewind: isNew() ? options.rewind : undefined,
    }),
    welcome,
    frame: receive,
    changed,
    ping: () => request('ping', {}).catch(() => {}),
    lost() {
      pending.offline();
      asked.lost();
    },
    ended() {
      following?.abort();
      following = undefined;
      pending.close();
      position.forget();
      wasOnline = false;
      uuid = null;
    },
  });

  const leave = (persisted: boolean) => {
    position.write();
    if (persisted) link.suspend();
    else if (!position.isStored) link.close();
  };

  const on = (
    event: string,
    handler: (data: any, message: Message<any>) => void,
    { topic, ...options }: HandlerOptions & { topic?: string } = {},
  ) => messages.add(message => {
    const isMeant = event === '*' || event === (message.event ?? 'message');
    if (isMeant && (!topic || topic === message.topic)) handler(message.data, message);
  }, options, topic ? own.hold(topic) : undefined);

  const client: Tagcast<E> = {
    get uuid() {
      return uuid;
    },
    get tags() {
      return own.tags;
    },
    get topics() {
      return own.topics;
    },
    get status() {
      return link.status;
    },
    get features() {
      return features;
    },
    open() {
      if (!following) {
        following = new AbortController();
        followPage({ wake: link.wake, doubt: link.doubt, leave }, following.signal);
      }
      link.open();
      return client;
    },
    close: link.close,
    ready: signal => new Promise((resolve, reject) => {
      const check = ({ state }: Status) => {
        if (state === 'online') resolve();
        else if (state === 'closed') reject(new TagcastError({ code: 'closed' }));
        else return;
        off();
      };
      const off = statuses.add(check, { signal }, () => reject(signal?.reason));
      check(link.status);
    }),
    on: on as Tagcast<E>['on'],
    topic: name => ({
      on: ((event: string, handler: (data: any, message: Message<any>) => void, options?: HandlerOptions) =>
        on(event, handler, { ...options, topic: name })) as Tagcast<E>['on'],
      publish: (event, data, options) => client.publish({ topic: name }, data, { ...options, event }),
    }),
    publish: (to, data, { offline = 'queue', repeat, ...members } = {}) =>
      request('pub', { to, ...members, data: data ?? null }, { offline, repeat }).then(({ id, ...ack }) => ack),
    tag: change => tag(change, { offline: 'queue' }),
    ask: (to, data, { event, timeout = 5000, signal } = {}) =>
      request('ask', { to, event, timeout_ms: timeout, data: data ?? null }, {
        // The server keeps the time. This is for a server that does not.
        timeout: timeout + 1000,
        signal,
      }).then(answer => answer.data),
    answer: asked.add,
    onStatus: statuses.add,
    onRecovery: recoveries.add,
    onTags: tagChanges.add,
    request: (op, members, offline) => request(op, members, { offline }),
    onFrame: (op, handler, options) => frames.add(frame => {
      if (frame.op === op) handler(frame);
    }, options),
  };

  return options.lazy ? client : client.open();
}
