/** Replace: a string instead of every match of a pattern. */

import { toCodePoints } from "../code_points.js";
import { IntList } from "../int_list.js";
import type { NormalizedText } from "../normalized_text.js";
import type { Part } from "../part.js";
import { readPattern } from "../regex/read_pattern.js";
import type { Pattern } from "../regex/pattern.js";
import type { Normalizer } from "./normalizer.js";

export class Replace implements Normalizer {
  private readonly pattern: Pattern;
  private readonly content: Int32Array;

  constructor(part: Part) {
    this.pattern = readPattern(part);
    this.content = toCodePoints(part.string("content"));
  }

  normalize(text: NormalizedText): void {
    const matches = this.pattern.findAll(text.characters, 0, text.length);
    if (matches.length === 0) return;
    const characters = new IntList(text.length);
    const origins = new IntList(text.length);
    let done = 0;
    const keepTo = (end: number): void => {
      for (; done < end; done++) {
        characters.push(text.characters[done]!);
        origins.push(done);
      }
    };
    for (let index = 0; index < matches.length; index += 2) {
      keepTo(matches.get(index));
      done = matches.get(index + 1);
      for (const character of this.content) {
        characters.push(character);
        origins.push(done - 1); // what stands instead of a match comes from its last character
      }
    }
    keepTo(text.length);
    text.replace(characters, origins);
  }
}
