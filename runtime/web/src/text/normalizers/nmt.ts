/** Nmt: sentencepiece's rules for control characters and white space. */

import type { NormalizedText } from "../normalized_text.js";
import type { Normalizer } from "./normalizer.js";

export class Nmt implements Normalizer {
  normalize(text: NormalizedText): void {
    text.filter((character) => !isRemoved(character));
    text.characters = text.characters.map((character) => (isSpace(character) ? 0x20 : character));
  }
}

function isRemoved(character: number): boolean {
  return (
    (character >= 0x01 && character <= 0x08) ||
    character === 0x0b ||
    (character >= 0x0e && character <= 0x1f) ||
    character === 0x7f ||
    character === 0x8f ||
    character === 0x9f
  );
}

const SPACES: ReadonlySet<number> = new Set([
  0x09, 0x0a, 0x0c, 0x0d, 0x1680, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd,
]);

function isSpace(character: number): boolean {
  return SPACES.has(character);
}
