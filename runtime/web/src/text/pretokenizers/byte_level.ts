/** ByteLevel: words as GPT-2 has them, each byte of UTF-8 as one printable character. */

import { CHARACTER_OF_BYTE, utf8Bytes } from "../code_points.js";
import type { Part } from "../part.js";
import type { Pieces } from "../pieces.js";
import type { Pattern } from "../regex/pattern.js";
import { parseRegex } from "../regex/regex_parser.js";
import { atMatches } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

const SPACE = 0x20;
const WORDS = parseRegex(
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
) as Pattern;

export class ByteLevel implements PreTokenizer {
  private readonly addPrefixSpace: boolean;
  private readonly useRegex: boolean;

  constructor(part: Part) {
    this.addPrefixSpace = part.boolean("add_prefix_space");
    part.boolean("trim_offsets"); // of use to the post-processor alone
    this.useRegex = part.has("use_regex") ? part.boolean("use_regex") : true;
  }

  preTokenize(pieces: Pieces): Pieces {
    let words = this.addPrefixSpace ? withPrefixSpace(pieces) : pieces;
    if (this.useRegex)
      words = words.cut(atMatches((characters, from, to) => WORDS.findAll(characters, from, to), "Isolated", false));
    return words.rewrite((from, to, write) => {
      for (let position = from; position < to; position++) {
        const character = words.characters[position]!;
        if (character < 0x80) write(CHARACTER_OF_BYTE[character]!, position);
        else utf8Bytes(character, (byte) => write(CHARACTER_OF_BYTE[byte]!, position));
      }
    });
  }
}

function withPrefixSpace(pieces: Pieces): Pieces {
  return pieces.rewrite((from, to, write) => {
    if (pieces.characters[from] !== SPACE) write(SPACE, from);
    for (let position = from; position < to; position++) write(pieces.characters[position]!, position);
  });
}
