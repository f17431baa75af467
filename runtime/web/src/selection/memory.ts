/** What is remembered from one opening to the next: which variant was the fastest, which passed its golden rows. */

export interface Memory {
  get(key: string): string | null;
  set(key: string, value: string): void;
}

const PREFIX = "edgeformer|";

/** The browser's localStorage, where a page has one and may use it; elsewhere nothing is kept. */
export function defaultMemory(): Memory {
  return {
    get: (key) => {
      try {
        return globalThis.localStorage?.getItem(PREFIX + key) ?? null;
      } catch {
        return null; // forbidden to this page: the check is made again
      }
    },
    set: (key, value) => {
      try {
        globalThis.localStorage?.setItem(PREFIX + key, value);
      } catch {
        // forbidden or full: the check is made again next time
      }
    },
  };
}

/** A memory that forgets with the process. */
export function shortMemory(): Memory {
  const kept = new Map<string, string>();
  return { get: (key) => kept.get(key) ?? null, set: (key, value) => void kept.set(key, value) };
}
