/** Pre-tokenizers by their type in a tokenizer.json. */

import type { Part } from "../part.js";
import type { Pieces } from "../pieces.js";
import { BertPreTokenizer } from "./bert.js";
import { ByteLevel } from "./byte_level.js";
import { CharDelimiterSplit } from "./delimiter.js";
import { Digits } from "./digits.js";
import { Metaspace } from "./metaspace.js";
import type { PreTokenizer } from "./pre_tokenizer.js";
import { Punctuation } from "./punctuation.js";
import { Split } from "./split.js";
import { Whitespace } from "./whitespace.js";
import { WhitespaceSplit } from "./whitespace_split.js";

export type { PreTokenizer } from "./pre_tokenizer.js";

const PRE_TOKENIZERS: ReadonlyMap<string, (part: Part) => PreTokenizer> = new Map<string, (part: Part) => PreTokenizer>(
  [
    ["BertPreTokenizer", () => new BertPreTokenizer()],
    ["ByteLevel", (part) => new ByteLevel(part)],
    ["CharDelimiterSplit", (part) => new CharDelimiterSplit(part)],
    ["Digits", (part) => new Digits(part)],
    ["Metaspace", (part) => new Metaspace(part)],
    ["Punctuation", (part) => new Punctuation(part)],
    ["Sequence", (part) => new PreTokenizerSequence(part.parts("pretokenizers").map(readPreTokenizer))],
    ["Split", (part) => new Split(part)],
    ["Whitespace", () => new Whitespace()],
    ["WhitespaceSplit", () => new WhitespaceSplit()],
  ],
);

/** Throws RuntimeBundleError for one that this runtime doesn't know. */
export function readPreTokenizer(part: Part): PreTokenizer {
  const read = PRE_TOKENIZERS.get(part.string("type")) ?? part.unknown("pre-tokenizer");
  return read(part);
}

class PreTokenizerSequence implements PreTokenizer {
  constructor(private readonly preTokenizers: readonly PreTokenizer[]) {}

  preTokenize(pieces: Pieces): Pieces {
    return this.preTokenizers.reduce((done, preTokenizer) => preTokenizer.preTokenize(done), pieces);
  }
}
