/** Lowercase: each character by itself; some become several. */

import { IntList } from "../int_list.js";
import type { NormalizedText } from "../normalized_text.js";
import { LOWERCASE } from "../unicode.js";
import type { Normalizer } from "./normalizer.js";

export class Lowercase implements Normalizer {
  normalize(text: NormalizedText): void {
    lowercase(text);
  }
}

export function lowercase(text: NormalizedText): void {
  if (text.characters.every((character) => character < 0x80)) {
    text.characters = text.characters.map((character) => (isAsciiUpper(character) ? character + 0x20 : character));
    return;
  }
  const characters = new IntList(text.length);
  const origins = new IntList(text.length);
  for (let index = 0; index < text.length; index++) {
    const character = text.characters[index]!;
    if (character < 0x80) {
      characters.push(isAsciiUpper(character) ? character + 0x20 : character);
      origins.push(index);
      continue;
    }
    for (const lower of LOWERCASE.get(character) ?? [character]) {
      characters.push(lower);
      origins.push(index);
    }
  }
  text.replace(characters, origins);
}

function isAsciiUpper(character: number): boolean {
  return character >= 0x41 && character <= 0x5a;
}
