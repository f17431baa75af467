/** BertProcessing: [CLS] first [SEP] second [SEP]. */

import type { Part } from "../part.js";
import type { Tokens } from "../tokens.js";
import type { PostProcessor } from "./post_processor.js";
import { SpecialToken, surrounded } from "./special_token.js";

export class BertProcessing implements PostProcessor {
  readonly readsTexts = false;
  private readonly cls: SpecialToken;
  private readonly sep: SpecialToken;

  constructor(part: Part) {
    this.cls = new SpecialToken(part, "cls");
    this.sep = new SpecialToken(part, "sep");
  }

  added(isPair: boolean): number {
    return isPair ? 3 : 2;
  }

  process(parts: readonly Tokens[]): readonly Tokens[] {
    return parts.map((tokens, index) =>
      index === 0
        ? surrounded([this.cls.tokens(0)], tokens, [this.sep.tokens(0)], 0)
        : surrounded([], tokens, [this.sep.tokens(1)], 1),
    );
  }
}
