/** ByteLevel: a token that begins or ends with spaces has offsets without them. */

import type { Part } from "../part.js";
import type { Tokens } from "../tokens.js";
import { WHITESPACE } from "../unicode.js";
import type { PostProcessor } from "./post_processor.js";

const SPACE = 0x120; // what byte-level models write for it

export class ByteLevelProcessing implements PostProcessor {
  private readonly trimOffsets: boolean;
  private readonly addPrefixSpace: boolean;

  constructor(part: Part) {
    this.addPrefixSpace = part.boolean("add_prefix_space");
    this.trimOffsets = part.boolean("trim_offsets");
  }

  get readsTexts(): boolean {
    return this.trimOffsets;
  }

  added(): number {
    return 0;
  }

  process(parts: readonly Tokens[]): readonly Tokens[] {
    parts.forEach((tokens, index) => {
      if (this.trimOffsets) trimOffsets(tokens, this.addPrefixSpace);
      tokens.ranges.set(index, [0, tokens.ids.length]);
    });
    return parts;
  }
}

/** `addPrefixSpace`: the first token may have one space that isn't in the text. */
export function trimOffsets(tokens: Tokens, addPrefixSpace: boolean): void {
  tokens.texts.forEach((text, index) => {
    // Nothing beyond U+FFFF is white space, so UTF-16 will do.
    let leading = 0;
    while (leading < text.length && isSpace(text.charCodeAt(leading))) leading++;
    let trailing = 0;
    while (trailing < text.length && isSpace(text.charCodeAt(text.length - 1 - trailing))) trailing++;
    const start = tokens.starts[index]!;
    const end = tokens.ends[index]!;
    if (leading === 1 && addPrefixSpace && (index === 0 || start === 0)) leading = 0;
    const trimmed = Math.min(start + leading, end);
    tokens.starts[index] = trimmed;
    if (trailing > 0 && end >= trailing) tokens.ends[index] = Math.max(end - trailing, trimmed);
  });
}

function isSpace(character: number): boolean {
  return character === SPACE || WHITESPACE.has(character);
}
