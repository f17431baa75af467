/** CharDelimiterSplit: one character parts the words and is in none. */

import type { Part } from "../part.js";
import type { Cutter, Pieces } from "../pieces.js";
import { atCharacters } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

export class CharDelimiterSplit implements PreTokenizer {
  private readonly cutter: Cutter;

  constructor(part: Part) {
    const delimiter = part.character("delimiter");
    this.cutter = atCharacters((character) => character === delimiter, "Removed");
  }

  preTokenize(pieces: Pieces): Pieces {
    return pieces.cut(this.cutter);
  }
}
