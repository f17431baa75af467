/** StripAccents: combining marks go; it is used behind NFD or NFKD. */

import type { NormalizedText } from "../normalized_text.js";
import { COMBINING_MARK } from "../unicode.js";
import type { Normalizer } from "./normalizer.js";

export class StripAccents implements Normalizer {
  normalize(text: NormalizedText): void {
    text.filter((character) => !COMBINING_MARK.has(character));
  }
}
