/** Cutting a text at delimiters, and what becomes of them. */

import type { IntList } from "../int_list.js";
import type { Cutter } from "../pieces.js";

/**
 * Of "the-final--countdown" at "-": Removed the|final|countdown, Isolated the|-|final|-|-|countdown, MergedWithPrevious
 * the-|final-|-|countdown, MergedWithNext the|-final|-|-countdown, Contiguous the|-|final|--|countdown.
 */
export type Behavior = "Removed" | "Isolated" | "MergedWithPrevious" | "MergedWithNext" | "Contiguous";
export const BEHAVIORS: readonly Behavior[] = [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
];

type Take = (from: number, to: number) => void;

/** Each character for which `isDelimiter` is true is one. */
export function atCharacters(isDelimiter: (character: number) => boolean, behavior: Behavior): Cutter {
  return (characters, from, to, take) => {
    const parts = new Parts(behavior, take);
    let start = from;
    for (let position = from; position < to; position++) {
      if (!isDelimiter(characters[position]!)) continue;
      if (start < position) parts.add(start, position, false);
      parts.add(position, position + 1, true);
      start = position + 1;
    }
    if (start < to) parts.add(start, to, false);
    parts.finish();
  };
}

/** The delimiters are what `find` finds: starts and ends in turn; with `isInverted`, what lies between. */
export function atMatches(
  find: (characters: Int32Array, from: number, to: number) => IntList,
  behavior: Behavior,
  isInverted: boolean,
): Cutter {
  return (characters, from, to, take) => {
    const parts = new Parts(behavior, take);
    const matches = find(characters, from, to);
    let start = from;
    for (let index = 0; index < matches.length; index += 2) {
      if (start < matches.get(index)) parts.add(start, matches.get(index), isInverted);
      start = matches.get(index + 1);
      parts.add(matches.get(index), start, !isInverted);
    }
    if (start < to) parts.add(start, to, isInverted);
    parts.finish();
  };
}

/** Puts neighbouring parts together as a behavior says; one part is held back, since the next may belong to it. */
class Parts {
  private from = -1; // of the part held back; -1: none
  private to = -1;
  private wasDelimiter = false;

  constructor(
    private readonly behavior: Behavior,
    private readonly take: Take,
  ) {}

  add(from: number, to: number, isDelimiter: boolean): void {
    if (this.behavior === "Isolated") {
      this.take(from, to);
    } else if (this.behavior === "Removed") {
      if (!isDelimiter) this.take(from, to);
    } else {
      if (this.from !== -1 && this.belongs(isDelimiter)) {
        this.to = to;
      } else {
        this.finish();
        this.from = from;
        this.to = to;
      }
      this.wasDelimiter = isDelimiter;
    }
  }

  finish(): void {
    if (this.from !== -1) this.take(this.from, this.to);
    this.from = -1;
  }

  private belongs(isDelimiter: boolean): boolean {
    if (this.behavior === "Contiguous") return isDelimiter === this.wasDelimiter;
    if (this.behavior === "MergedWithPrevious") return isDelimiter && !this.wasDelimiter;
    return !isDelimiter && this.wasDelimiter;
  }
}
