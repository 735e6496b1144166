import type { Off, TagChange, Tags } from './types.js';

/** What the server knows of this client, and what this client wants it to know. */
export interface OwnTags {
  /** As the server has them. */
  readonly tags: Tags;
  readonly topics: readonly string[];
  /** For `hello`: the tags of the options with the changes that this client has made since, and the topics with handlers. */
  wanted(): { tags: Tags | undefined; topics: string[] };
  /** Takes what the server says. Returns whether that is different from before. */
  set(frame: { tags: Tags; topics?: string[] }): boolean;
  /** A change of this client that the server has carried out. */
  changed(change: TagChange): void;
  /** Keeps the client in a topic until this, and everything else that holds it, is released. */
  hold(topic: string): Off;
  /** Joins the topics that are missing, and leaves those without handlers. */
  align(): void;
}

/** Names of tags come from outside, so no name is ever assigned to: a spread copies even `__proto__` as a tag. */
function applied(tags: Tags | undefined, { set, remove = [] }: TagChange): Tags {
  const kept = { ...tags };
  for (const name of remove) delete kept[name];
  return { ...kept, ...set };
}

/** `request` sends a change if the client is online; its promise never rejects. */
export function ownTags(options: { tags?: Tags }, request: (change: TagChange) => Promise<unknown>): OwnTags {
  let own = options.tags;
  let tags: Tags = {};
  let topics: string[] = [];
  /** A topic for each of its handlers. */
  const held: string[] = [];
  /** The topics that the server has, or will have after the changes that are under way. */
  let expected: string[] = [];
  let isScheduled = false;

  const wantedTopics = () => [...new Set(held)];

  const align = () => {
    isScheduled = false;
    const wanted = wantedTopics();
    const join = wanted.filter(topic => !expected.includes(topic));
    const leave = expected.filter(topic => !wanted.includes(topic));
    if (!join.length && !leave.length) return;
    expected = wanted;
    request({ join, leave });
  };

  /** All handlers of one turn make one request. A component that is mounted twice at once makes one as well. */
  const schedule = () => {
    if (!isScheduled) queueMicrotask(align);
    isScheduled = true;
  };

  return {
    get tags() {
      return tags;
    },
    get topics() {
      return topics;
    },
    wanted: () => ({ tags: own, topics: wantedTopics() }),
    set({ tags: newTags, topics: newTopics = [] }) {
      const before = JSON.stringify([tags, topics]);
      tags = newTags;
      expected = topics = newTopics;
      return JSON.stringify([tags, topics]) !== before;
    },
    changed(change) {
      const { join = [], leave = [] } = change;
      own = applied(own, change);
      tags = applied(tags, change);
      topics = [...new Set([...topics.filter(topic => !leave.includes(topic)), ...join])];
    },
    hold(topic) {
      held.push(topic);
      schedule();
      return () => {
        held.splice(held.indexOf(topic), 1);
        schedule();
      };
    },
    align,
  };
}
