/** Punctuation: each character of punctuation is a delimiter. */

import type { Part } from "../part.js";
import type { Cutter, Pieces } from "../pieces.js";
import { PUNCTUATION } from "../unicode.js";
import { atCharacters, BEHAVIORS } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

export class Punctuation implements PreTokenizer {
  private readonly cutter: Cutter;

  constructor(part: Part) {
    const behavior = part.has("behavior") ? part.oneOf("behavior", BEHAVIORS) : "Isolated";
    this.cutter = atCharacters((character) => PUNCTUATION.has(character), behavior);
  }

  preTokenize(pieces: Pieces): Pieces {
    return pieces.cut(this.cutter);
  }
}
