/** Test vectors of tests/tokenizers: cases with what Python's `tokenizers` makes of them. */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Encoding, Tokenizer, Truncation } from "../../src/text/index.js";

/** A case with its answer: tests/tokenizers/README.md says what each key is. */
export interface Case {
  readonly text: number;
  readonly second: number | null;
  readonly max_length: number | null;
  readonly strategy: Truncation["strategy"];
  readonly direction: Truncation["direction"];
  readonly error?: string;
  readonly ids: readonly number[];
  readonly types: readonly number[];
  readonly offsets: readonly number[];
  readonly words: readonly (number | null)[];
  readonly sequences: readonly (number | null)[];
  readonly truncated: boolean;
}

/** The checkout that this file was built in. */
export function checkout(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "runtime", "FORMAT.md"))) {
    if (folder === dirname(folder)) throw new Error("no folder above holds runtime/FORMAT.md");
    folder = dirname(folder);
  }
  return folder;
}

/** What differs, in a sentence; null where all is equal. */
export function difference(tokenizer: Tokenizer, texts: readonly string[], wanted: Case): string | null {
  const cut = { maxLength: wanted.max_length ?? 0, strategy: wanted.strategy, direction: wanted.direction };
  let got: Encoding;
  try {
    const second = wanted.second === null ? null : texts[wanted.second]!;
    got = tokenizer.encode(texts[wanted.text]!, second, wanted.max_length === null ? null : cut);
  } catch (error) {
    return wanted.error === undefined ? `threw ${String(error)}` : null;
  }
  if (wanted.error !== undefined) return `expected an error: ${wanted.error}`;
  const compared: [string, unknown, unknown][] = [
    ["ids", got.ids, wanted.ids],
    ["types", got.typeIds, wanted.types],
    ["offsets", got.offsets.flat(), wanted.offsets],
    ["words", got.wordIds, wanted.words],
    ["sequences", got.sequenceIds, wanted.sequences],
    ["truncated", got.truncated, wanted.truncated],
  ];
  for (const [name, one, other] of compared) {
    const [is, should] = [JSON.stringify(one), JSON.stringify(other)];
    if (is !== should) {
      const text = JSON.stringify(texts[wanted.text]).slice(0, 200);
      const how = JSON.stringify({ ...wanted, ids: 0, types: 0, offsets: 0, words: 0, sequences: 0 });
      return `${name} of ${text} (${how}):\n  got    ${is.slice(0, 400)}\n  wanted ${should.slice(0, 400)}`;
    }
  }
  return null;
}
