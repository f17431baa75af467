/** Split: the matches of a pattern are delimiters, or with `invert` all else. */

import type { Part } from "../part.js";
import type { Cutter, Pieces } from "../pieces.js";
import { readPattern } from "../regex/read_pattern.js";
import { atMatches, BEHAVIORS } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

export class Split implements PreTokenizer {
  private readonly cutter: Cutter;

  constructor(part: Part) {
    const pattern = readPattern(part);
    const find = (characters: Int32Array, from: number, to: number) => pattern.findAll(characters, from, to);
    this.cutter = atMatches(find, part.oneOf("behavior", BEHAVIORS), part.boolean("invert"));
  }

  preTokenize(pieces: Pieces): Pieces {
    return pieces.cut(this.cutter);
  }
}
