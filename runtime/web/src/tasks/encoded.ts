/** What preprocessing gives, whatever it was made from. */

import { InputError } from "../errors.js";
import type { Tensors } from "../tensor.js";

/** One row, ready to run: {input name: tensor [1, …]}. */
export interface Encoded {
  readonly feeds: Tensors;
  /** Of a text, special ones included; null for what isn't text. */
  readonly tokens: number | null;
  /** A part of the row was left out. */
  readonly truncated: boolean;
  /** Tokens of that part; null where that isn't known: in a pair of which both texts may be cut. */
  readonly tokensCut: number | null;
}

/** A text or a pair, and what it takes to map results back to its characters. */
export interface EncodedText extends Encoded {
  /** Per token: code points [start, end) of the text that it came from; [0, 0] for special tokens and prompts. */
  readonly offsets: readonly (readonly [number, number])[];
  readonly words: readonly (number | null)[];
  /** Per token: which text, 0 or 1. */
  readonly texts: readonly (number | null)[];
  readonly source: readonly [string, string | null];
}

/** `encoded`, known to be of a text. */
export function ofText(encoded: Encoded): EncodedText {
  if (!("offsets" in encoded)) throw new InputError("this task needs a text: its results are places in it");
  return encoded as EncodedText;
}

/** The text between two code points. */
export function slice(text: string, start: number, end: number): string {
  return Array.from(text).slice(start, end).join("");
}
