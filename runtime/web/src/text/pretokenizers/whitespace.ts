/** Whitespace: runs of word characters, and runs of what is neither those nor white space: the pattern \w+|[^\w\s]+. */

import type { Pieces } from "../pieces.js";
import { WHITESPACE, WORD } from "../unicode.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

export class Whitespace implements PreTokenizer {
  preTokenize(pieces: Pieces): Pieces {
    return pieces.cut((characters, from, to, take) => {
      let position = from;
      while (position < to) {
        const kind = kindOf(characters[position]!);
        const start = position++;
        while (position < to && kindOf(characters[position]!) === kind) position++;
        if (kind !== "space") take(start, position);
      }
    });
  }
}

function kindOf(character: number): "word" | "space" | "other" {
  return WORD.has(character) ? "word" : WHITESPACE.has(character) ? "space" : "other";
}
