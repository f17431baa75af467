/** BertPreTokenizer: words end at white space and around punctuation. */

import type { Pieces } from "../pieces.js";
import { PUNCTUATION, WHITESPACE } from "../unicode.js";
import { atCharacters } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

const atSpace = atCharacters((character) => WHITESPACE.has(character), "Removed");
const atPunctuation = atCharacters((character) => PUNCTUATION.has(character), "Isolated");

export class BertPreTokenizer implements PreTokenizer {
  preTokenize(pieces: Pieces): Pieces {
    return pieces.cut(atSpace).cut(atPunctuation);
  }
}
