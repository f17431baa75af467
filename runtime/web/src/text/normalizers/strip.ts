/** Strip: white space at either end goes. */

import type { NormalizedText } from "../normalized_text.js";
import type { Part } from "../part.js";
import { WHITESPACE } from "../unicode.js";
import type { Normalizer } from "./normalizer.js";

export class Strip implements Normalizer {
  private readonly left: boolean;
  private readonly right: boolean;

  constructor(part: Part) {
    this.left = part.boolean("strip_left");
    this.right = part.boolean("strip_right");
  }

  normalize(text: NormalizedText): void {
    let from = 0;
    let to = text.length;
    if (this.left) while (from < to && WHITESPACE.has(text.characters[from]!)) from++;
    if (this.right) while (to > from && WHITESPACE.has(text.characters[to - 1]!)) to--;
    text.cut(from, to);
  }
}
