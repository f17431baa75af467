/** Every text and tokenizer of build/tokenizers, which `python tests/tokenizers/make_large.py` writes. */

import assert from "node:assert/strict";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test from "node:test";
import { readTokenizer } from "../../src/text/index.js";
import { checkout, difference, type Case } from "./vectors.js";

const folder = process.env["EDGEFORMER_TOKENIZERS"] ?? join(checkout(), "build", "tokenizers");
const isThere = existsSync(join(folder, "origins.json"));

test("many texts", { skip: isThere ? false : "python tests/tokenizers/make_large.py wasn't run" }, async (context) => {
  const texts = JSON.parse(readFileSync(join(folder, "texts.json"), "utf8")) as string[];
  const origins = JSON.parse(readFileSync(join(folder, "origins.json"), "utf8")) as Record<string, string>;
  const written = Object.entries(origins).filter(([name]) => existsSync(join(folder, `${name}.jsonl`)));
  assert.ok(written.length >= 8, `${folder} has answers for ${written.length} tokenizers, expected 8 at least`);
  for (const [name, origin] of written) {
    await context.test(name, async () => {
      const tokenizer = readTokenizer(readFileSync(join(folder, `${name}.json`)));
      const differences: string[] = [];
      let count = 0;
      for await (const line of createInterface({ input: createReadStream(join(folder, `${name}.jsonl`)) })) {
        const found = difference(tokenizer, texts, JSON.parse(line) as Case);
        if (found !== null) differences.push(found);
        count++;
      }
      console.log(`${name} (${origin}): ${differences.length} of ${count} cases of ${texts.length} texts differ`);
      assert.equal(differences.length, 0, differences.slice(0, 5).join("\n"));
      assert.ok(count >= texts.length);
    });
  }
});
