/** Digits: numbers are words, or each digit is one. */

import type { Part } from "../part.js";
import type { Cutter, Pieces } from "../pieces.js";
import { NUMERIC } from "../unicode.js";
import { atCharacters } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

export class Digits implements PreTokenizer {
  private readonly cutter: Cutter;

  constructor(part: Part) {
    const behavior = part.boolean("individual_digits") ? "Isolated" : "Contiguous";
    this.cutter = atCharacters((character) => NUMERIC.has(character), behavior);
  }

  preTokenize(pieces: Pieces): Pieces {
    return pieces.cut(this.cutter);
  }
}
