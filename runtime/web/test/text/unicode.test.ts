/**
 * A part of the table is asked of the platform: all of it must be what runtime/unicode_table/unicode_table.txt says.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { compose, decomposition } from "../../src/text/unicode.js";
import { checkout } from "./vectors.js";

const lines = new Map(
  readFileSync(join(checkout(), "runtime/unicode_table/unicode_table.txt"), "utf8")
    .split("\n")
    .map((line) => [line.split(" ", 1)[0] as string, line.split(" ").slice(1)]),
);

function map(name: string): Map<number, number[]> {
  let [character, target] = [0, 0];
  return new Map(
    (lines.get(name) as string[]).map((item) => {
      const [gap, differences] = item.split(":") as [string, string];
      character += parseInt(gap, 36);
      return [character, differences.split(",").map((difference) => (target += parseInt(difference, 36)))];
    }),
  );
}

test("characters are composed and decomposed as the table says, and no others", () => {
  const [canonical, compatible] = [map("canonical"), map("compatible")];
  const numbers = (lines.get("compose") as string[]).map((item) => parseInt(item, 36));
  const pairs = new Map<number, [number, number]>();
  let [character, first] = [0, 0];
  for (let i = 0; i < numbers.length; i += 3) {
    character += numbers[i] as number;
    first += numbers[i + 1] as number;
    pairs.set(character, [first, numbers[i + 2] as number]);
  }
  const expand = (part: number): number[] => pairs.get(part)?.flatMap(expand) ?? canonical.get(part) ?? [part];
  for (const [composed, [one, other]] of pairs) assert.equal(compose(one, other), composed);
  for (let code = 0; code < 0x110000; code++) {
    if (code >= 0xac00 && code <= 0xd7a3) continue; // Hangul is arithmetic
    const full = pairs.has(code) ? expand(code) : (canonical.get(code) ?? null);
    assert.deepEqual(decomposition(code, false), full, code.toString(16));
    assert.deepEqual(decomposition(code, true), compatible.get(code) ?? full, code.toString(16));
  }
});
