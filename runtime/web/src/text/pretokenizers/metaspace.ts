/** Metaspace: a visible character stands for each space, and a word begins with it. */

import type { Part } from "../part.js";
import type { Pieces } from "../pieces.js";
import { atCharacters } from "./delimiters.js";
import type { PreTokenizer } from "./pre_tokenizer.js";

const SPACE = 0x20;
const SCHEMES = ["always", "first", "never"] as const;

export class Metaspace implements PreTokenizer {
  private readonly replacement: number;
  private readonly scheme: (typeof SCHEMES)[number];
  private readonly split: boolean;

  constructor(part: Part) {
    this.replacement = part.character("replacement");
    const scheme = part.has("prepend_scheme") ? part.oneOf("prepend_scheme", SCHEMES) : "always";
    const isOff = part.has("add_prefix_space") && !part.boolean("add_prefix_space");
    if (isOff && scheme !== "never") part.wrong("prepend_scheme", "never, since add_prefix_space is false", scheme);
    this.scheme = scheme;
    this.split = part.has("split") ? part.boolean("split") : true;
  }

  preTokenize(pieces: Pieces): Pieces {
    const { replacement, scheme } = this;
    const words = pieces.rewrite((from, to, write) => {
      const first = pieces.characters[from]!;
      const isMissing = first !== replacement && first !== SPACE;
      const isWanted = scheme === "always" || (scheme === "first" && pieces.starts[from] === 0);
      if (isMissing && isWanted) write(replacement, from);
      for (let position = from; position < to; position++) {
        const character = pieces.characters[position]!;
        write(character === SPACE ? replacement : character, position);
      }
    });
    return this.split ? words.cut(atCharacters((character) => character === replacement, "MergedWithNext")) : words;
  }
}
