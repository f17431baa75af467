/** What every normalizer is. */

import type { NormalizedText } from "../normalized_text.js";

export interface Normalizer {
  /** Changes `text` in place. */
  normalize(text: NormalizedText): void;
}
