/** What every reader of a bundle must get: tests/conformance/README.md. */

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Bundle } from "../src/bundle/bundle.js";
import { readGolden } from "../src/bundle/golden.js";
import { folderSource } from "../src/node/index.js";
import { Session } from "../src/session.js";
import type { Item } from "../src/predictor.js";
import { ofText } from "../src/tasks/encoded.js";
import { tensor, type Tensors } from "../src/tensor.js";
import { CONFORMANCE, onnxRuntime, readPng } from "./tools.js";

interface Case {
  readonly item?: string | [string, string];
  readonly prompt?: string | null;
  readonly labels?: string[];
  readonly arrays?: Record<string, number[][]>;
  readonly inputs?: Record<string, unknown>;
  readonly offsets?: [number, number][];
  readonly outputs: Record<string, unknown>;
  readonly prediction?: unknown;
}

for (const file of (await readdir(join(CONFORMANCE, "cases"))).sort()) {
  const { bundle, cases } = JSON.parse(await readFile(join(CONFORMANCE, "cases", file), "utf8")) as {
    bundle: string;
    cases: Case[];
  };
  describe(bundle, () => {
    let session: Session;
    before(async () => {
      session = await Session.open(folderSource(join(CONFORMANCE, "bundles", bundle)), {
        engines: [onnxRuntime()],
        selfCheck: "always",
      });
    });
    after(() => session.close());

    test("passes its golden rows", () => {
      assert.equal(session.selfCheck.status, "passed");
      assert.equal(session.skipped.length, session.manifest.variants.length - 1); // those of other engines
    });

    cases.forEach((known, index) => {
      test(`case ${index}: ${JSON.stringify(known.item ?? known.arrays)} ${known.prompt ?? ""}`, () =>
        check(session, known));
    });
  });
}

async function check(session: Session, known: Case): Promise<void> {
  if (known.arrays !== undefined) {
    const feeds = session.manifest.inputs.map((spec) => {
      const rows = known.arrays?.[spec.name] as number[][];
      return [spec.name, tensor(spec.dtype, [rows.length, rows[0]?.length ?? 0], rows.flat())];
    });
    return close(listed(await session.run(Object.fromEntries(feeds) as Tensors)), known.outputs, 1e-5);
  }
  const item = await itemOf(session, known.item as string | [string, string]);
  const encoded = await session.encode(item, known.prompt);
  close(listed(encoded.feeds), known.inputs, 1e-6);
  if (known.offsets !== undefined) assert.deepEqual(ofText(encoded).offsets, known.offsets);
  close(listed(await session.run(encoded.feeds)), known.outputs, 1e-5);
  const options = { prompt: known.prompt ?? null, ...(known.labels === undefined ? {} : { labels: known.labels }) };
  const [prediction] = await session.predict([item], options);
  const data = JSON.parse(
    JSON.stringify(prediction, (_, value: unknown) => (value instanceof Float32Array ? [...value] : value)),
  ) as unknown;
  close(data, known.prediction, 1e-5);
}

async function itemOf(session: Session, item: string | [string, string]): Promise<Item> {
  const file = (name: string): Promise<Uint8Array> => readFile(join(CONFORMANCE, "inputs", name));
  if (session.reads[0] === "text") return item;
  if (session.reads[0] === "audio") return file(item as string);
  if (session.reads.length === 2) return [readPng(await file(item[0] as string)), item[1] as string];
  return readPng(await file(item as string));
}

/** Tensors as nested lists. */
function listed(tensors: Tensors): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }]) => {
      let values: unknown[] = Array.from(data as ArrayLike<number>, Number);
      for (const size of shape.slice(1).reverse()) {
        values = Array.from({ length: values.length / size }, (_, index) =>
          values.slice(index * size, (index + 1) * size),
        );
      }
      return [name, values];
    }),
  );
}

function close(found: unknown, expected: unknown, tolerance: number): void {
  if (typeof expected === "number") {
    assert.ok(Math.abs((found as number) - expected) <= tolerance, `${String(found)} is not ${expected}`);
  } else if (expected !== null && typeof expected === "object") {
    assert.deepEqual(Object.keys(found as object).sort(), Object.keys(expected).sort());
    for (const [key, value] of Object.entries(expected))
      close((found as Record<string, unknown>)[key], value, tolerance);
  } else {
    assert.equal(found, expected);
  }
}

test("golden predictions are there for every row with a text", async () => {
  for (const name of await readdir(join(CONFORMANCE, "bundles"))) {
    const golden = await readGolden(await Bundle.open(folderSource(join(CONFORMANCE, "bundles", name))));
    assert.deepEqual(
      golden?.variants["onnx"]?.predictions.map((item) => item === null),
      golden?.texts.map((text) => text === null),
    );
  }
});
