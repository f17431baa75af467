/** Real texts and a real model: tests/apps/real_rows.py wrote what Python makes of them into EDGEFORMER_REAL_ROWS. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import type { Engine } from "../src/engines/engine.js";
import { folderSource } from "../src/node/index.js";
import { Session } from "../src/session.js";
import { liteRt, onnxRuntime } from "./tools.js";

const FOLDER = process.env["EDGEFORMER_REAL_ROWS"] ?? "";
const skip = FOLDER === "" && "EDGEFORMER_REAL_ROWS names no folder that tests/apps/real_rows.py wrote";
const TOLERANCE = 1e-5;

interface Row {
  readonly text: string;
  readonly variants: Readonly<
    Record<string, { readonly outputs: Readonly<Record<string, number[]>>; label: string; score: number }>
  >;
}

for (const [variant, load] of [
  ["onnx", async () => onnxRuntime()],
  ["tflite", liteRt],
] as const) {
  test(`${variant}: labels, scores and outputs are those of Python`, { skip }, async () => {
    const engine: Engine = await load();
    const session = await Session.open(folderSource(join(FOLDER, "bundle")), {
      engines: [engine],
      variant,
      selfCheck: "always",
    });
    const rows = readFileSync(join(FOLDER, "rows.jsonl"), "utf8").trim().split("\n");
    assert.ok(rows.length >= 100);
    let worst = 0;
    for (const line of rows) {
      const { text, variants } = JSON.parse(line) as Row;
      const known = variants[variant];
      assert.ok(known !== undefined);
      const outputs = await session.run((await session.encode(text, null)).feeds);
      for (const [name, wanted] of Object.entries(known.outputs)) {
        const found = Array.from(outputs[name]?.data as ArrayLike<number>, Number);
        assert.equal(found.length, wanted.length);
        found.forEach((value, index) => (worst = Math.max(worst, Math.abs(value - (wanted[index] as number)))));
      }
      const [prediction] = (await session.predict([text])) as unknown as { label: string; score: number }[];
      assert.equal(prediction?.label, known.label, text);
      assert.ok(Math.abs((prediction?.score ?? NaN) - known.score) <= TOLERANCE);
    }
    console.log(`${variant}: ${rows.length} rows, outputs off by at most ${worst}`);
    assert.ok(worst <= TOLERANCE, `outputs are off by ${worst}`);
    await session.close();
  });
}
