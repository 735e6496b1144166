/** What a page does when the browser reports something. */
export interface Page {
  /** The network is back, or the page is shown again. */
  wake(): void;
  /** The network may be gone. */
  doubt(): void;
  /** The page is left. `persisted`: it may come back out of the back/forward cache. */
  leave(persisted: boolean): void;
}

/** Follows the events of a page or a worker, until `signal` is aborted. Nothing happens where there are none. */
export function followPage(page: Page, signal: AbortSignal): void {
  const { document } = globalThis;
  const on = (type: string, run: (event: any) => void, target: EventTarget = globalThis) =>
    target?.addEventListener?.(type, run, { signal });
  on('online', page.wake);
  on('pageshow', page.wake);
  on('offline', page.doubt);
  on('pagehide', ({ persisted }) => page.leave(persisted));
  if (document) on('visibilitychange', () => document.hidden || page.wake(), document);
}
