import type { WebSocketLike } from '../types.js';

/** What a socket in memory leads to. */
export interface Acceptor {
  /** A socket is opened. Returns false if no server is there. */
  opened(socket: MemorySocket): boolean;
  /** The client has sent a frame. */
  received(socket: MemorySocket, frame: any): void;
  /** The client has closed the socket, with this code or without one. */
  closed(socket: MemorySocket, code: number | undefined): void;
}

/** A `WebSocket` without a network. Everything arrives in its order, and never while it is sent. */
export class MemorySocket implements WebSocketLike {
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  #acceptor: Acceptor;
  #isOpen = false;

  constructor(acceptor: Acceptor) {
    this.#acceptor = acceptor;
    queueMicrotask(() => {
      this.#isOpen = true;
      if (acceptor.opened(this)) this.onopen?.({});
      else this.end(1006, '');
    });
  }

  send(text: string): void {
    queueMicrotask(() => {
      if (this.#isOpen) this.#acceptor.received(this, JSON.parse(text));
    });
  }

  close(code?: number): void {
    queueMicrotask(() => {
      if (!this.#isOpen) return;
      this.#isOpen = false;
      this.#acceptor.closed(this, code);
    });
  }

  /** A frame of the server. */
  deliver(frame: object): void {
    // What was sent is what arrives, whatever happens to the object.
    const data = JSON.stringify(frame);
    queueMicrotask(() => {
      if (this.#isOpen) this.onmessage?.({ data });
    });
  }

  /** The network breaks: what is on its way does not arrive. */
  reset(): void {
    this.#isOpen = false;
    queueMicrotask(() => this.onclose?.({ code: 1006, reason: '' }));
  }

  /** The server ends the connection. */
  end(code: number, reason: string): void {
    queueMicrotask(() => {
      if (!this.#isOpen) return;
      this.#isOpen = false;
      this.onclose?.({ code, reason });
    });
  }
}
