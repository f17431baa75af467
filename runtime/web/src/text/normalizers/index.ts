/** Normalizers by their type in a tokenizer.json. */

import type { NormalizedText } from "../normalized_text.js";
import type { Part } from "../part.js";
import { BertNormalizer } from "./bert_normalizer.js";
import { ByteLevelNormalizer } from "./byte_level_normalizer.js";
import { Lowercase } from "./lowercase.js";
import { Nmt } from "./nmt.js";
import type { Normalizer } from "./normalizer.js";
import { Precompiled } from "./precompiled.js";
import { Prepend } from "./prepend.js";
import { Replace } from "./replace.js";
import { Strip } from "./strip.js";
import { StripAccents } from "./strip_accents.js";
import { UnicodeForm } from "./unicode_form.js";

export type { Normalizer } from "./normalizer.js";

const NORMALIZERS: ReadonlyMap<string, (part: Part) => Normalizer> = new Map<string, (part: Part) => Normalizer>([
  ["BertNormalizer", (part) => new BertNormalizer(part)],
  ["ByteLevel", () => new ByteLevelNormalizer()],
  ["Lowercase", () => new Lowercase()],
  ["NFC", () => new UnicodeForm(false, true)],
  ["NFD", () => new UnicodeForm(false, false)],
  ["NFKC", () => new UnicodeForm(true, true)],
  ["NFKD", () => new UnicodeForm(true, false)],
  ["Nmt", () => new Nmt()],
  ["Precompiled", (part) => new Precompiled(part)],
  ["Prepend", (part) => new Prepend(part)],
  ["Replace", (part) => new Replace(part)],
  ["Sequence", (part) => new NormalizerSequence(part.parts("normalizers").map(readNormalizer))],
  ["Strip", (part) => new Strip(part)],
  ["StripAccents", () => new StripAccents()],
]);

/** Throws RuntimeBundleError for one that this runtime doesn't know. */
export function readNormalizer(part: Part): Normalizer {
  const read = NORMALIZERS.get(part.string("type")) ?? part.unknown("normalizer");
  return read(part);
}

class NormalizerSequence implements Normalizer {
  constructor(private readonly normalizers: readonly Normalizer[]) {}

  normalize(text: NormalizedText): void {
    for (const normalizer of this.normalizers) normalizer.normalize(text);
  }
}
