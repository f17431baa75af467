/** What every post-processor is. */

import type { Tokens } from "../tokens.js";

export interface PostProcessor {
  /** It looks at the tokens' texts. */
  readonly readsTexts: boolean;

  /** How many tokens it adds to a text, or to a pair. */
  added(isPair: boolean): number;

  /** `parts`: the tokens of each text in turn; once one post-processor was there, with its own between them. */
  process(parts: readonly Tokens[]): readonly Tokens[];
}
