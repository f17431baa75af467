/** ByteLevel: each byte of UTF-8 as one printable character. */

import { CHARACTER_OF_BYTE, utf8Bytes } from "../code_points.js";
import { IntList } from "../int_list.js";
import type { NormalizedText } from "../normalized_text.js";
import type { Normalizer } from "./normalizer.js";

export class ByteLevelNormalizer implements Normalizer {
  normalize(text: NormalizedText): void {
    const characters = new IntList(text.length);
    const origins = new IntList(text.length);
    for (let index = 0; index < text.length; index++) {
      utf8Bytes(text.characters[index]!, (byte) => {
        characters.push(CHARACTER_OF_BYTE[byte]!);
        origins.push(index);
      });
    }
    text.replace(characters, origins);
  }
}
