/** What every pre-tokenizer is. */

import type { Pieces } from "../pieces.js";

export interface PreTokenizer {
  preTokenize(pieces: Pieces): Pieces;
}
