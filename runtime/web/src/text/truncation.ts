/** How many tokens of each text are kept. */

import { InputError } from "../errors.js";

export interface Truncation {
  /** Tokens, those that the post-processor adds included. */
  readonly maxLength: number;
  /** Which text of a pair loses tokens: the longer, the first, or the second alone. */
  readonly strategy: "longest_first" | "only_first" | "only_second";
  /** The side of a text that loses tokens. */
  readonly direction: "right" | "left";
}

/**
 * How many tokens stay of texts that have `lengths`, where there is `room` for so many. Throws InputError where the
 * text that is to be cut isn't long enough, or isn't there.
 */
export function keptLengths(
  lengths: readonly number[],
  room: number,
  strategy: Truncation["strategy"],
): readonly number[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total <= room) return lengths;
  if (room === 0) return lengths.map(() => 0);
  if (strategy === "longest_first") return lengths.length === 2 ? longestFirst(lengths[0]!, lengths[1]!, room) : [room];
  const cut = strategy === "only_first" ? 0 : 1;
  const length = lengths[cut];
  if (length === undefined) throw new InputError("text: the second text is to be cut, and there is none");
  if (length <= total - room) {
    throw new InputError(
      `text: ${total - room} tokens are too many, and the ${cut === 0 ? "first" : "second"} text has ${length}`,
    );
  }
  return lengths.map((each, index) => (index === cut ? each - (total - room) : each));
}

/**
 * The shorter text stays whole where it takes at most half of the room; else both have half, the longer one the odd
 * token.
 */
function longestFirst(first: number, second: number, room: number): readonly number[] {
  let shorter = Math.min(first, second);
  let longer = shorter > room ? shorter : Math.max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = Math.floor(room / 2);
    longer = room - shorter;
  }
  return first > second ? [longer, shorter] : [shorter, longer];
}
