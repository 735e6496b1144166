import type { Clock, Options } from './types.js';

/** How often the storage is written, in ms. */
const WRITE_EVERY = 1000;

export interface Resume {
  /** What `hello` shows: the token, and the position after the last message that was handled. */
  shown(): { resume?: string; since?: string };
  token(token: string | undefined): void;
  /** Moves the position, if the frame that was handled has one. */
  handled(frame: { at?: string }): void;
  /** Whether the token survives the page. */
  readonly isStored: boolean;
  write(): void;
  forget(): void;
}

/** The resume token and the position. Both are in memory, and in a storage if the page names one. */
export function resume(url: string, options: Options, clock: Clock): Resume {
  const { resume: setting = true } = options;
  // A boolean has neither.
  const { storage, name = `tagcast:${url}` } = setting as Partial<Exclude<typeof setting, boolean>>;
  let shown: { resume?: string; since?: string } = {};
  let timer: unknown;

  /** A storage may be full or forbidden. The client works without it. */
  const access = (act: () => void) => {
    try {
      act();
    } catch {
      // In memory nothing is lost.
    }
  };

  const write = () => {
    clock.clearTimeout(timer);
    timer = undefined;
    access(() => storage?.setItem(name, JSON.stringify(shown)));
  };

  const changed = (change: typeof shown) => {
    if (setting) Object.assign(shown, change);
    if (storage) timer ??= clock.setTimeout(write, WRITE_EVERY);
  };

  access(() => {
    shown = { ...JSON.parse(storage?.getItem(name) || '{}') };
  });

  return {
    isStored: !!storage,
    shown: () => shown,
    token: resume => changed({ resume }),
    handled({ at }) {
      if (at) changed({ since: at });
    },
    write,
    forget() {
      shown = {};
      clock.clearTimeout(timer);
      timer = undefined;
      access(() => storage?.removeItem(name));
    },
  };
}
