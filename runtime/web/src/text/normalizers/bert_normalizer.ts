/** BertNormalizer: control characters go, white space becomes spaces, spaces around Chinese characters, accents go. */

import { IntList } from "../int_list.js";
import type { NormalizedText } from "../normalized_text.js";
import type { Part } from "../part.js";
import { BERT_CHINESE, BERT_REMOVED, NONSPACING_MARK, WHITESPACE } from "../unicode.js";
import { lowercase } from "./lowercase.js";
import type { Normalizer } from "./normalizer.js";
import { decompose } from "./unicode_form.js";

const SPACE = 0x20;

export class BertNormalizer implements Normalizer {
  private readonly cleanText: boolean;
  private readonly handleChinese: boolean;
  private readonly stripAccents: boolean;
  private readonly lowercase: boolean;

  constructor(part: Part) {
    this.cleanText = part.boolean("clean_text");
    this.handleChinese = part.boolean("handle_chinese_chars");
    this.lowercase = part.boolean("lowercase");
    this.stripAccents = part.has("strip_accents") ? part.boolean("strip_accents") : this.lowercase;
  }

  normalize(text: NormalizedText): void {
    if (this.cleanText) {
      text.filter((character) => !BERT_REMOVED.has(character));
      text.characters = text.characters.map((character) => (WHITESPACE.has(character) ? SPACE : character));
    }
    if (this.handleChinese && text.characters.some((character) => BERT_CHINESE.has(character))) surroundChinese(text);
    if (this.stripAccents) {
      decompose(text, false);
      text.filter((character) => !NONSPACING_MARK.has(character));
    }
    if (this.lowercase) lowercase(text);
  }
}

function surroundChinese(text: NormalizedText): void {
  const characters = new IntList(text.length + 16);
  const origins = new IntList(text.length + 16);
  for (let index = 0; index < text.length; index++) {
    const character = text.characters[index]!;
    const isChinese = BERT_CHINESE.has(character);
    for (const written of isChinese ? [SPACE, character, SPACE] : [character]) {
      characters.push(written);
      origins.push(index);
    }
  }
  text.replace(characters, origins);
}
