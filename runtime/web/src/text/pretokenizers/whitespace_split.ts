/** WhitespaceSplit: white space parts the words. */

import type { Pieces } from "../pieces.js";
import { WHITESPACE } from "../unicode.js";
import { atCharacters } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

const atSpace = atCharacters((character) => WHITESPACE.has(character), "Removed");

export class WhitespaceSplit implements PreTokenizer {
  preTokenize(pieces: Pieces): Pieces {
    return pieces.cut(atSpace);
  }
}
