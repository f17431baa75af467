/** What every model of a tokenizer is. */

import { InputError } from "../../errors.js";

/** Adds a token: its id, and the characters of the word that it stands for: [from, to), counted in the buffer. */
export type AddToken = (id: number, from: number, to: number) => void;

export interface Model {
  /** How many tokens it counts: an added token that it lacks gets the next id. */
  readonly size: number;

  /** The id of a token; undefined where it has none. */
  idOf(token: string): number | undefined;

  /** A token's text, as its vocabulary writes it; undefined where the text that it stands for counts. */
  textOf(id: number): string | undefined;

  /** The tokens of the word characters[from … to-1]. */
  tokenize(characters: Int32Array, from: number, to: number, add: AddToken): void;
}

/** Throws InputError: a text holds what the vocabulary lacks, and it has no token for such. */
export function refuseUnknown(token: string | null): never {
  const lacks = token === null ? "names no token for unknown text" : `lacks its own token for unknown text, '${token}'`;
  throw new InputError(`text: holds characters that the tokenizer doesn't know, and its vocabulary ${lacks}`);
}
