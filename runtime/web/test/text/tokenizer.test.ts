/** Tokenizers of a few hundred tokens with every kind of component, against tests/tokenizers/vectors. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { InputError } from "../../src/errors.js";
import { openTokenizer, readTokenizer, type Tokenizer } from "../../src/text/index.js";
import { checkout, difference, type Case } from "./vectors.js";

interface Vectors {
  readonly tokenizer: unknown;
  readonly texts: readonly string[];
  readonly cases: readonly Case[];
}

const folder = join(checkout(), "tests", "tokenizers", "vectors");
const names = readdirSync(folder).filter((name) => name.endsWith(".json"));

function read(name: string): Vectors {
  return JSON.parse(readFileSync(join(folder, name), "utf8")) as Vectors;
}

function tokenizer(name: string): Tokenizer {
  return openTokenizer(read(`${name}.json`).tokenizer);
}

for (const name of names) {
  test(`as Python's: ${name}`, () => {
    const { tokenizer: json, texts, cases } = read(name);
    const opened = openTokenizer(json);
    const differences = cases.map((wanted) => difference(opened, texts, wanted)).filter((found) => found !== null);
    assert.deepEqual(differences, []);
    assert.ok(cases.length > 50);
  });
}

test("bundles of tests/conformance", () => {
  for (const name of readdirSync(join(checkout(), "tests", "conformance", "cases"))) {
    const { bundle, cases } = JSON.parse(
      readFileSync(join(checkout(), "tests", "conformance", "cases", name), "utf8"),
    ) as {
      bundle: string;
      cases: {
        item: string | string[];
        prompt: string | null;
        inputs?: { input_ids?: number[][] };
        offsets?: number[][];
      }[];
    };
    for (const { item, prompt, inputs, offsets } of cases) {
      const isText = typeof item === "string" || (Array.isArray(item) && item.length === 2);
      if (!isText || inputs?.input_ids === undefined || prompt !== null || offsets === undefined) continue;
      const root = join(checkout(), "tests", "conformance", "bundles", bundle);
      const manifest = JSON.parse(readFileSync(join(root, "manifest.json"), "utf8")) as {
        preprocess: Record<string, unknown>[];
      };
      const text = manifest.preprocess.find((part) => part["kind"] === "text")!;
      if (text["default_prompt"] || text["pad_to_max"]) continue;
      const opened = readTokenizer(readFileSync(join(root, text["tokenizer"] as string)));
      const [first, second] = typeof item === "string" ? [item, null] : [item[0]!, item[1]!];
      const strategy = text["cut"] === "second" ? "only_second" : "longest_first";
      const direction = text["truncation"] === "left" ? "left" : "right";
      const got = opened.encode(first, second, { maxLength: text["max_length"] as number, strategy, direction });
      assert.deepEqual(got.ids, inputs.input_ids[0]);
      assert.deepEqual(got.offsets, offsets);
    }
  }
});

test("half a surrogate pair is refused, and says where it stands", () => {
  for (const [text, place] of [
    ["a\ud800b", 1],
    ["👍\udc00", 1],
    ["\ud83d", 0],
  ] as const) {
    assert.throws(
      () => tokenizer("word_piece").encode(text),
      (error: unknown) => {
        assert.ok(error instanceof InputError);
        assert.match(error.message, new RegExp(`character ${place} is half of a surrogate pair`));
        return true;
      },
    );
  }
});

test("what can't be cut to fit is refused", () => {
  const opened = tokenizer("word_piece");
  assert.throws(
    () => opened.encode("a", null, { maxLength: 1, strategy: "longest_first", direction: "right" }),
    InputError,
  );
  assert.throws(
    () => opened.encode("a b c d", null, { maxLength: 4, strategy: "only_second", direction: "right" }),
    InputError,
  );
  assert.throws(
    () => opened.encode("a b c d e f", "x", { maxLength: 5, strategy: "only_second", direction: "right" }),
    InputError,
  );
});

test("long texts take time in proportion: four times the text, less than twelve times the time", () => {
  for (const name of names) {
    const opened = tokenizer(name.replace(".json", ""));
    for (const unit of ["a", " ", "the cat. ", "\u0301", "👍", "\n "]) {
      const [short, long] = [10_000, 40_000].map((length) => {
        const text = unit.repeat(length / unit.length);
        return Math.min(...[1, 2, 3].map(() => cpuSeconds(() => opened.encode(text))));
      });
      assert.ok(long! < 12 * Math.max(short!, 0.01), `${name}, '${unit}': ${short} and ${long} seconds`);
    }
  }
});

function cpuSeconds(work: () => unknown): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}
