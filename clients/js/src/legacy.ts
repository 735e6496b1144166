/**
 * `socketWebClient` of phpWebSocketServer's pages, over `tagcast.v1`.
 *
 * It has the names of all versions since 2021, whether a page passes `(server, app)` or `(server, port, app)`. Unlike the
 * original it reconnects by itself, and what is sent meanwhile waits.
 */
import { connect } from './index.js';
import type { Tagcast, To } from './types.js';

/** A packet of phpWebSocketServer. */
export interface Packet {
  opcode: string;
  message?: unknown;
  /** For `feedback`: the UUID of the recipient, or its ident. */
  uuid?: string;
  ident?: string;
  [member: string]: unknown;
}

export interface LegacyCallbacks {
  status(text: string): unknown;
  ready(packet: Packet): unknown;
  readmessage(packet: Packet): unknown;
  close(): unknown;
}

export interface SocketWebClient {
  init(): void;
  sendMsg(packet: Packet): void;
  /** Resolves when the server has the message. Rejects if it is not sent. */
  sendAsync(packet: Packet): Promise<void>;
  uuid(): string | null;
  quit(): void;
  isOpen(): boolean;
  /** `type` is the name of a callback, in any case. */
  setCallback(type: string, run: (packet?: any) => unknown): void;
  setCallbackStatus(run: LegacyCallbacks['status']): void;
  setCallbackReady(run: LegacyCallbacks['ready']): void;
  setCallbackReadMessage(run: LegacyCallbacks['readmessage']): void;
  setCallbackClose(run: LegacyCallbacks['close']): void;
  callbacks: LegacyCallbacks;
  broadcast(message: unknown): void;
  feedback(message: unknown, uuid: string): void;
  echo(message: unknown): void;
}

/** `ssl://` and `wss://` are encrypted; anything else, and a host alone, is not. */
function urlOf(server: string, port: string | number, app: string | undefined): string {
  const [scheme, host = scheme] = server.split('://') as [string, string?];
  return `${/^(ssl|wss|https)$/.test(scheme) ? 'wss' : 'ws'}://${host}${app === undefined ? port : `:${port}${app}`}`;
}

export function socketWebClient(server: string, app: string): SocketWebClient;
export function socketWebClient(server: string, port: string | number, app: string): SocketWebClient;
export function socketWebClient(server: string, port: string | number, app?: string): SocketWebClient {
  let client: Tagcast | undefined;
  const callbacks: LegacyCallbacks = { status() {}, ready() {}, readmessage() {}, close() {} };
  const isOpen = () => client?.status.state === 'online';

  const open = (): Tagcast => {
    const opened = connect(urlOf(server, port, app), { lazy: true });
    opened.onStatus(status => {
      if (status.state === 'connecting') {
        callbacks.status('Trying to connect ...');
      } else if (status.state === 'online') {
        callbacks.status('Connected');
        callbacks.ready({ opcode: 'ready', uuid: opened.uuid as string });
      } else {
        callbacks.status(status.state === 'closed' ? 'Server closed connection'
          : `Reconnecting in ${((status as { retryAt: number }).retryAt - Date.now()) / 1000 | 0} s`);
        callbacks.close();
      }
    });
    opened.on('*', (message, { direct, from }) => callbacks.readmessage({
      opcode: direct ? 'feedback' : 'broadcast', message, ...(from && { from, fromUUID: from }),
    }));
    return opened;
  };

  const publish = (to: To, packet: Packet, options: object) => client!.publish(to, packet.message, options);

  /** What a server did with a packet. It ignored opcodes that it did not know. */
  const carryOut = async (packet: Packet): Promise<unknown> => {
    switch (packet.opcode) {
      case 'broadcast':
        return publish({ all: true }, packet, { except: 'self' });
      case 'feedback':
        return publish(packet.uuid ? { uuid: packet.uuid } : { ident: packet.ident ?? '' }, packet, { from: true });
      case 'echo':
        await client!.request('ping', {}, 'queue');
        return callbacks.readmessage(packet);
      case 'quit':
        return client!.close();
    }
  };

  const sendMsg = (packet: Packet) => {
    if (!client) return;
    carryOut(packet).catch(({ message }) => callbacks.readmessage({ opcode: 'error', error: message }));
  };

  const setCallback = (type: string, run: (packet?: any) => unknown) => {
    const name = type.toLowerCase();
    if (Object.hasOwn(callbacks, name)) callbacks[name as keyof LegacyCallbacks] = run;
  };

  return {
    init() {
      // A page that reconnects by itself calls this again, and keeps its client.
      client ??= open();
      client.open();
    },
    sendMsg,
    async sendAsync(packet) {
      if (!isOpen()) throw 'Socket not open';
      await carryOut(packet);
    },
    uuid: () => client?.uuid ?? null,
    quit: () => client?.close(),
    isOpen,
    setCallback,
    setCallbackStatus: run => setCallback('status', run),
    setCallbackReady: run => setCallback('ready', run),
    setCallbackReadMessage: run => setCallback('readmessage', run),
    setCallbackClose: run => setCallback('close', run),
    callbacks,
    broadcast: message => sendMsg({ opcode: 'broadcast', message }),
    feedback: (message, uuid) => sendMsg({ opcode: 'feedback', message, uuid }),
    echo: message => sendMsg({ opcode: 'echo', message }),
  };
}
