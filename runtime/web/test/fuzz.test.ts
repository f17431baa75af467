/** Manifests and tokenizers that tests/apps/fuzz.py mutated into the folder EDGEFORMER_FUZZ, read as Python reads them. */

import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { readManifest } from "../src/bundle/manifest_reader.js";
import { EdgeformerError, RuntimeBundleError } from "../src/errors.js";
import { readTokenizer } from "../src/text/index.js";
import { REPOSITORY } from "./tools.js";

const FOLDER = process.env["EDGEFORMER_FUZZ"] ?? "";
const skip = FOLDER === "" && "EDGEFORMER_FUZZ names no folder that tests/apps/fuzz.py wrote";

interface Mutated {
  readonly base: string;
  readonly edits: readonly (readonly [number, number, string])[];
}

interface MutatedManifest extends Mutated {
  readonly code: string | null;
  readonly skipped?: unknown;
}

interface MutatedTokenizer extends Mutated {
  readonly texts: readonly string[];
  readonly ids: readonly (readonly number[] | null)[] | null;
}

test("mutated manifests have the codes of Python, and the same parts are skipped", { skip }, async () => {
  const different = await differences<MutatedManifest>("manifests", async (text, known) => {
    const wanted = JSON.stringify(known.code ?? known.skipped);
    let found: string;
    try {
      found = JSON.stringify((await readManifest(text)).skipped.map((item) => [item.part, item.name]));
    } catch (error) {
      if (!(error instanceof RuntimeBundleError)) return `no error of ours: ${(error as Error).stack}`;
      found = JSON.stringify(error.code);
    }
    return found === wanted ? null : `expected ${wanted}, got ${found}`;
  });
  assert.deepEqual(different.slice(0, 5), [], `${different.length} differ`);
});

test("mutated tokenizers are refused as ours, or give the ids of Python", { skip }, async () => {
  let opened = 0;
  const different = await differences<MutatedTokenizer>("tokenizers", async (text, known) => {
    try {
      const tokenizer = readTokenizer(text);
      opened++;
      for (const [index, item] of known.texts.entries()) {
        const wanted = known.ids?.[index] ?? null;
        const found = idsOf(tokenizer, item);
        if (wanted !== null && found !== null && found.join() !== wanted.join())
          return `'${item}': expected ${wanted.join()}, got ${found.join()}`;
      }
    } catch (error) {
      if (!(error instanceof EdgeformerError)) return `no error of ours: ${(error as Error).stack}`;
    }
    return null;
  });
  assert.deepEqual(different.slice(0, 5), [], `${different.length} differ`);
  assert.ok(opened > 100, `${opened} were opened`);
});

/** Null where the tokenizer has no token for something in the text. */
function idsOf(tokenizer: ReturnType<typeof readTokenizer>, text: string): readonly number[] | null {
  try {
    return tokenizer.encode(text).ids;
  } catch (error) {
    if (error instanceof EdgeformerError) return null;
    throw error;
  }
}

/** What `compare` says of each line's text, with the line's number. */
async function differences<T extends Mutated>(
  name: string,
  compare: (text: Uint8Array, known: T) => Promise<string | null>,
): Promise<string[]> {
  const bases = new Map<string, Buffer>();
  const found: string[] = [];
  let count = 0;
  for await (const line of createInterface({ input: createReadStream(join(FOLDER, `${name}.jsonl`)) })) {
    const known = JSON.parse(line) as T;
    let text = bases.get(known.base) ?? readFileSync(join(REPOSITORY, "tests", known.base));
    bases.set(known.base, text);
    for (const [at, deleted, inserted] of known.edits)
      text = Buffer.concat([text.subarray(0, at), Buffer.from(inserted, "base64"), text.subarray(at + deleted)]);
    const problem = await compare(text, known);
    count++;
    if (problem !== null) found.push(`${name} ${count}: ${problem}`);
  }
  assert.ok(count >= 2000, `${count} ${name}`);
  return found;
}
