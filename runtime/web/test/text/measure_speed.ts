/**
 * Prints how fast each tokenizer of build/tokenizers is: node build/test/text/measure_speed.js. Median of five runs.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readTokenizer } from "../../src/text/index.js";
import { checkout } from "./vectors.js";

const folder = process.env["EDGEFORMER_TOKENIZERS"] ?? join(checkout(), "build", "tokenizers");
const texts = JSON.parse(readFileSync(join(folder, "texts.json"), "utf8")) as string[];
const real = texts.filter((text) => text.length > 60 && [...text].every((character) => character < "\u0250"));

/** Megabytes of UTF-8 a second. */
function speed(encode: (text: string) => unknown, items: readonly string[]): number {
  const bytes = items.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const seconds = [1, 2, 3, 4, 5].map(() => {
    const start = process.cpuUsage();
    items.forEach(encode);
    const used = process.cpuUsage(start);
    return (used.user + used.system) / 1e6;
  });
  return bytes / 1e6 / seconds.sort((one, other) => one - other)[2]!;
}

const sample = real.slice(0, 1500);
const mixed = texts.slice(-1500);
const long = sample.join(" ").slice(0, 1_000_000);
for (const name of Object.keys(JSON.parse(readFileSync(join(folder, "origins.json"), "utf8")) as object)) {
  const bytes = readFileSync(join(folder, `${name}.json`));
  const start = performance.now();
  const tokenizer = readTokenizer(bytes);
  const open_ms = performance.now() - start;
  const encode = (text: string): unknown =>
    tokenizer.encode(text, null, { maxLength: 512, strategy: "longest_first", direction: "right" });
  const speeds = [sample, mixed, [long]].map((items) => speed(encode, items).toFixed(1));
  console.log(
    `${name}: real texts ${speeds[0]} MB/s, mixtures ${speeds[1]}, ` +
      `one text of a megabyte ${speeds[2]}; opened in ${open_ms.toFixed(0)} ms`,
  );
}
