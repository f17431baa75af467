/**
 * tokenizer.json files that somebody damaged, on purpose or not: an error of ours when it is opened, or a tokenizer.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { EdgeformerError, RuntimeBundleError } from "../../src/errors.js";
import { openTokenizer, readTokenizer } from "../../src/text/index.js";
import { checkout } from "./vectors.js";

const folder = join(checkout(), "tests", "tokenizers", "vectors");
const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));

/** A number from 0 to `below` - 1, the same in each run. */
let state = 1;
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

const STRANGE: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e300,
  2 ** 31,
  "",
  "x",
  "\ud800",
  "\u0000",
  "a".repeat(1000),
  [],
  [[]],
  {},
  { type: "Sequence" },
  { Regex: "(a*)*b" },
  { Regex: "\\p{L" },
  { String: "" },
  { type: "__proto__" },
  [0, "a"],
  ["a", 0],
  [["a", "b"]],
  [["a", NaN]],
];

/** Replaces, removes or repeats one value somewhere in `value`. */
function mutate(value: unknown): unknown {
  if (typeof value !== "object" || value === null || random(6) === 0) return STRANGE[random(STRANGE.length)];
  if (Array.isArray(value)) {
    const copy = [...(value as unknown[])];
    if (copy.length === 0) return STRANGE;
    const place = random(copy.length);
    if (random(4) === 0) copy.splice(place, 1);
    else copy[place] = mutate(copy[place]);
    return copy;
  }
  const copy: Record<string, unknown> = { ...(value as Record<string, unknown>) };
  const keys = Object.keys(copy);
  if (keys.length === 0) return { x: 1 };
  const key = keys[random(keys.length)]!;
  if (random(4) === 0) delete copy[key];
  else copy[key] = mutate(copy[key]);
  return copy;
}

test("changed files are refused with an error of ours, or work", () => {
  let refused = 0;
  let opened = 0;
  for (let round = 0; round < 3000; round++) {
    let json = (JSON.parse(files[round % files.length]!) as { tokenizer: unknown }).tokenizer;
    for (let count = 1 + random(3); count > 0; count--) json = mutate(json);
    try {
      const tokenizer = openTokenizer(json);
      opened++;
      for (const text of ["Hello  world's 12", "é\u0301 你好 <s>[MASK]\n", "", "\u0000👍"]) tokenizer.encode(text, "b");
    } catch (error) {
      assert.ok(error instanceof EdgeformerError, `${String(error)} ${(error as Error).stack}`);
      assert.ok(error.message.length < 800, error.message);
      refused++;
    }
  }
  assert.ok(refused > 500 && opened > 300, `${refused} refused, ${opened} opened`);
});

test("bytes that are no JSON", () => {
  for (const text of ["", "{", "[1,]", "nul", "\ufeff"])
    assert.throws(() => readTokenizer(Buffer.from(text)), RuntimeBundleError);
  assert.throws(() => readTokenizer(Uint8Array.of(0x22, 0xff, 0x22)), RuntimeBundleError);
  assert.throws(() => readTokenizer(Buffer.from("[".repeat(200_000))), RuntimeBundleError);
});

const model = { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" };

test("parts nested without end", () => {
  let part: unknown = { type: "Lowercase" };
  for (let depth = 0; depth < 50_000; depth++) part = { type: "Sequence", normalizers: [part] };
  assert.throws(() => openTokenizer({ normalizer: part, model }), /tokenizer.json.*nested more than 16 deep/);
});

test("a part that isn't known is named, and its place", () => {
  const unknown = { type: "Sequence", pretokenizers: [{ type: "Whitespace" }, { type: "Runes" }] };
  assert.throws(() => openTokenizer({ model, pre_tokenizer: unknown }), /pretokenizers\[1\].*'Runes' isn't known/);
  const ofBert = { type: "ByteLevel", cls: ["a", 0], sep: ["a", 0] };
  assert.throws(() => openTokenizer({ model, post_processor: ofBert }), /post-processor 'ByteLevel' isn't known/);
  for (const part of ["normalizer", "pre_tokenizer", "post_processor", "model"]) {
    assert.throws(() => openTokenizer({ model, [part]: { type: "Runes" } }), RuntimeBundleError);
  }
});

test("regular expressions that aren't known are refused", () => {
  const patterns = [
    "(a",
    "a)",
    "[a",
    "a**",
    "(ab)*",
    "(ab)+",
    "^a",
    "a|",
    "x*",
    "(?<=a)b",
    "(?<n>a)",
    "\\1",
    "\\bx",
    "[a&&b]",
    "[[:alpha:]]",
    "\\p{Greek}",
    "(?i:ß)",
    "(?i:strasse)",
    "a{3,1}",
    "a{2}{3}",
    "[z-a]",
    "(?!a)",
    "\\",
    "a".repeat(2000),
    "((".repeat(100),
    "(?:(?:a{9}){9}){9}{9}",
    "\\u12",
  ];
  for (const pattern of patterns) {
    const pre_tokenizer = { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
    assert.throws(() => openTokenizer({ model, pre_tokenizer }), RuntimeBundleError, pattern);
  }
});

test("a regular expression that takes too long on a text is an error, not a hang", () => {
  const pre_tokenizer = { type: "Split", pattern: { Regex: "a*a*a*a*b" }, behavior: "Isolated", invert: false };
  assert.throws(() => openTokenizer({ model, pre_tokenizer }).encode("a".repeat(5000)), /takes too long/);
});
