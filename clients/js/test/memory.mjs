// Sockets without a network, for tests of what a script cannot say.

/** A `WebSocket` whose server is `serve(socket)`: it sets `socket.answer`, and calls `receive` and `end`. */
export function memorySockets(serve) {
  return class {
    constructor(url, protocols) {
      Object.assign(this, { url, protocols, sent: [] });
      queueMicrotask(() => {
        serve(this);
        this.onopen?.({});
      });
    }

    send(text) {
      const frame = JSON.parse(text);
      this.sent.push(frame);
      this.answer?.(frame);
    }

    close(code) {
      this.closedWith = code ?? null;
    }

    receive(frame) {
      this.onmessage?.({ data: JSON.stringify(frame) });
    }

    end(code = 1006, reason = '') {
      this.onclose?.({ code, reason });
    }
  };
}

/** The `welcome` of a new client. */
export const WELCOME = {
  op: 'welcome', uuid: 'u1', resumed: false, resume: 'r1', tags: {}, topics: [], at: 'e.1', ping: 20,
  permissions: ['publish', 'tag'], features: [], limits: { message: 5_242_880 },
};
