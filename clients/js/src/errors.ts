/** Members of an `error` frame. */
export interface ErrorFrame {
  code: string;
  message?: string;
  retry?: boolean;
  retry_after_ms?: number;
}

/** Why a request failed. Its `code` is one of the protocol, or one of `docs/clients.md`. */
export class TagcastError extends Error {
  /** What happened, for programs. */
  declare readonly code: string;
  /** Whether the same request may succeed later. */
  declare readonly retry: boolean;
  /** When, in ms. */
  declare readonly retryAfter?: number;

  /** Takes the members of an `error` frame. What the client itself reports has no message but its code. */
  constructor({ code, message = code, retry = false, retry_after_ms: retryAfter }: ErrorFrame) {
    super(message);
    Object.assign(this, { name: 'TagcastError', code, retry, retryAfter });
  }
}

/** Passes an error to the error handling of the environment, as if a listener of the platform had thrown it. */
export function report(error: unknown): void {
  queueMicrotask(() => { throw error; });
}
