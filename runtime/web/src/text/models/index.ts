/** Models by their type in a tokenizer.json. */

import type { Part } from "../part.js";
import { Bpe } from "./bpe.js";
import type { Model } from "./model.js";
import { Unigram } from "./unigram.js";
import { WordLevel } from "./word_level.js";
import { WordPiece } from "./word_piece.js";

export type { Model } from "./model.js";

/** Throws RuntimeBundleError for one that this runtime doesn't know. */
export function readModel(part: Part): Model {
  const type = part.has("type") ? part.string("type") : guessed(part);
  switch (type) {
    case "BPE":
      return new Bpe(part);
    case "Unigram":
      return new Unigram(part);
    case "WordLevel":
      return new WordLevel(part);
    case "WordPiece":
      return new WordPiece(part);
    default:
      return part.unknown("model");
  }
}

/** Files of early releases don't say the type; these fields tell them apart. */
function guessed(part: Part): string {
  if (part.has("merges")) return "BPE";
  if (part.has("max_input_chars_per_word")) return "WordPiece";
  return Array.isArray(part.value("vocab")) ? "Unigram" : "WordLevel";
}
