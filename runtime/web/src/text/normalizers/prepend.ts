/** Prepend: a string before a text that isn't empty. */

import { toCodePoints } from "../code_points.js";
import { IntList } from "../int_list.js";
import type { NormalizedText } from "../normalized_text.js";
import type { Part } from "../part.js";
import type { Normalizer } from "./normalizer.js";

export class Prepend implements Normalizer {
  private readonly before: Int32Array;

  constructor(part: Part) {
    this.before = toCodePoints(part.string("prepend"));
  }

  normalize(text: NormalizedText): void {
    if (text.length === 0) return;
    const characters = new IntList(text.length + this.before.length);
    const origins = new IntList(text.length + this.before.length);
    for (const character of this.before) {
      characters.push(character);
      origins.push(0);
    }
    for (let index = 0; index < text.length; index++) {
      characters.push(text.characters[index]!);
      origins.push(index);
    }
    text.replace(characters, origins);
  }
}
