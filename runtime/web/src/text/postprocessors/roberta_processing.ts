/** RobertaProcessing: <s> first </s> and </s> second </s>, all of type 0, offsets without spaces. */

import type { Part } from "../part.js";
import type { Tokens } from "../tokens.js";
import { trimOffsets } from "./byte_level_processing.js";
import type { PostProcessor } from "./post_processor.js";
import { SpecialToken, surrounded } from "./special_token.js";

export class RobertaProcessing implements PostProcessor {
  private readonly cls: SpecialToken;
  private readonly sep: SpecialToken;
  private readonly trimOffsets: boolean;
  private readonly addPrefixSpace: boolean;

  constructor(part: Part) {
    this.cls = new SpecialToken(part, "cls");
    this.sep = new SpecialToken(part, "sep");
    this.trimOffsets = part.boolean("trim_offsets");
    this.addPrefixSpace = part.boolean("add_prefix_space");
  }

  get readsTexts(): boolean {
    return this.trimOffsets;
  }

  added(isPair: boolean): number {
    return isPair ? 4 : 2;
  }

  process(parts: readonly Tokens[]): readonly Tokens[] {
    return parts.map((tokens, index) => {
      if (this.trimOffsets) trimOffsets(tokens, this.addPrefixSpace);
      tokens.types.fill(0);
      const before = index === 0 ? this.cls : this.sep;
      return surrounded([before.tokens(0)], tokens, [this.sep.tokens(0)], index === 0 ? 0 : 1);
    });
  }
}
