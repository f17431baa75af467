/** Tokenizers of our own: a tokenizer.json to token ids, offsets and words. */

import { RuntimeBundleError } from "../errors.js";
import { Tokenizer } from "./tokenizer.js";

export { Tokenizer, type Encoding } from "./tokenizer.js";
export type { Truncation } from "./truncation.js";

/** Opens a parsed tokenizer.json; throws RuntimeBundleError for what it holds and this runtime doesn't know. */
export function openTokenizer(json: unknown): Tokenizer {
  return new Tokenizer(json);
}

/** Opens the bytes of a tokenizer.json; throws RuntimeBundleError also where they are no JSON in UTF-8. */
export function readTokenizer(bytes: Uint8Array): Tokenizer {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new RuntimeBundleError(`tokenizer.json: no JSON in UTF-8 (${String(error)}): compile the bundle again`);
  }
  return openTokenizer(json);
}
