/** Both engines on one bundle: choice, golden rows, padding, splitting, closing; and the report that Python reads. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";

import { readGolden } from "../src/bundle/golden.js";
import { memorySource } from "../src/bundle/source.js";
import type { Engine } from "../src/engines/engine.js";
import { ClosedError, EngineError, InputError, RuntimeBundleError } from "../src/errors.js";
import { folderSource } from "../src/node/index.js";
import { Session } from "../src/session.js";
import { tensor, type Tensor } from "../src/tensor.js";
import { shortMemory } from "../src/selection/memory.js";
import { CONFORMANCE, EXPECTED, liteRt, onnxRuntime, skip } from "./tools.js";

describe("a bundle with variants for both engines", { skip }, () => {
  let engines: Engine[];
  const source = () => folderSource(join(CONFORMANCE, "bundles", "two-engines"));
  before(async () => {
    engines = [onnxRuntime(), await liteRt()];
  });

  test("the faster one is taken and remembered, the other is named with its time", async () => {
    const memory = shortMemory();
    const session = await Session.open(source(), { engines, memory });
    const other = session.variant.name === "onnx" ? "tflite" : "onnx";
    assert.match(
      session.skipped.join(),
      new RegExp(`^${other}: [0-9.]+ ms, slower than ${session.variant.name} at [0-9.]+ ms$`),
    );
    assert.equal(session.selfCheck.status, "passed");
    await session.close();
    const again = await Session.open(source(), { engines, memory });
    assert.equal(again.variant.name, session.variant.name);
    assert.equal(again.selfCheck.status, "passed before");
    assert.deepEqual(again.skipped, [`${other}: slower than ${again.variant.name} when measured here before`]);
    await again.close();
  });

  test("both answer as Python's engines did, padded and split", async () => {
    for (const variant of ["onnx", "tflite"]) {
      const session = await Session.open(source(), { engines, variant, selfCheck: "always" });
      const golden = await readGolden(session.bundle);
      const [prediction] = await session.predict([golden?.texts[0]?.text as string]);
      const known = golden?.variants[variant]?.predictions[0] as { label: string; score: number };
      assert.equal((prediction as unknown as typeof known).label, known.label);
      assert.ok(Math.abs((prediction as unknown as typeof known).score - known.score) < 1e-5);
      const rows = tensor("int64", [3, 5], [1, 2, 3, 4, 5, 2, 2, 2, 2, 2, 5, 4, 3, 2, 1]);
      const ones = tensor("int64", [3, 5], Array<number>(15).fill(1));
      const { logits } = await session.run({ input_ids: rows, attention_mask: ones });
      assert.deepEqual(logits?.shape, [3, 3]);
      for (let row = 0; row < 3; row++) {
        const one = (value: Tensor): Tensor =>
          tensor("int64", [1, 5], [...value.data].slice(row * 5, row * 5 + 5) as bigint[]);
        const alone = await session.run({ input_ids: one(rows), attention_mask: one(ones) });
        assert.deepEqual(
          [...(alone["logits"] as Tensor).data],
          [...(logits as Tensor).data].slice(row * 3, row * 3 + 3),
        );
      }
      await session.close();
    }
  });

  test("what can't go in is refused, and nothing after closing", async () => {
    const session = await Session.open(source(), { engines, variant: "tflite" });
    const long = tensor("int64", [1, 17], Array<number>(17).fill(1));
    await assert.rejects(session.run({ input_ids: long, attention_mask: long }), /sequence length 17 is longer/);
    await assert.rejects(session.run({ input_ids: long }), /missing: attention_mask/);
    const float = tensor("float32", [1, 8], Array<number>(8).fill(1));
    await assert.rejects(session.run({ input_ids: float, attention_mask: float }), /expected int64, got float32/);
    await assert.rejects(session.predict([["a", "b"]]), InputError);
    await assert.rejects(session.predict("a text" as never), /put it in a list/);
    await assert.rejects(session.embed(["a"], "text"), /gives vectors of nothing/);
    await assert.rejects(session.predict(["a"], { prompt: "nobody" }), /no prompt of this name/);
    await session.close();
    await session.close();
    await assert.rejects(session.predict(["a"]), ClosedError);
    await assert.rejects(session.run({}), ClosedError);
    await assert.rejects(session.benchmark(), ClosedError);
  });

  test("calls that are inside when a session is closed end well", async () => {
    const session = await Session.open(source(), { engines, variant: "onnx" });
    const expected = await session.predict(["good", "bad"]);
    const inside = session.predict(["good", "bad"]);
    const closing = session.close();
    await assert.rejects(session.predict(["good"]), ClosedError);
    assert.deepEqual(await inside, expected);
    await closing;
  });

  test("without an engine the reasons are given", async () => {
    await assert.rejects(Session.open(source(), { engines: [] }), (error: Error) => {
      assert.ok(error instanceof EngineError);
      assert.match(
        error.message,
        /onnx: it is made for onnxruntime, and that engine wasn't given; tflite: it is made for litert/,
      );
      return true;
    });
    await assert.rejects(Session.open(source(), { engines, variant: "coreml" }), RuntimeBundleError);
    const session = await Session.open(source(), { engines, variant: ["onnx"] });
    assert.deepEqual(session.skipped, ["tflite: it wasn't asked for"]);
    await session.close();
  });

  test("an engine that gives other numbers than were verified is refused", async () => {
    const files = new Map<string, Uint8Array>();
    const list = await source().list();
    for (const path of list?.keys() ?? []) files.set(path, (await source().read(path, 1e8)) as Uint8Array);
    const golden = JSON.parse(new TextDecoder().decode(files.get("golden.json"))) as {
      variants: { onnx: { outputs: { logits: { offset: number } }[] } };
    };
    const data = Uint8Array.from(files.get("golden.bin") as Uint8Array);
    for (const { logits } of golden.variants.onnx.outputs)
      data[logits.offset + 3] = (data[logits.offset + 3] as number) ^ 0x80; // the sign
    await assert.rejects(
      Session.open(memorySource(await withFile(files, "golden.bin", data)), { engines, variant: "onnx" }),
      /gives wrong results/,
    );
  });

  test("the report is one that Python compares", async () => {
    const session = await Session.open(source(), { engines, variant: "tflite" });
    const told: string[] = [];
    const found = await session.benchmark({
      quick: true,
      sequenceLength: 5,
      progress: (message) => void told.push(message),
    });
    assert.equal(told.length, 4);
    assert.equal(found["sequence_length"], 8);
    assert.equal((found["power"] as { watts: unknown }).watts, null);
    await writeFile(join(EXPECTED, "report.json"), JSON.stringify(found));
    await session.close();
  });
});

/** The bundle with other content of a file, and the hash of it. */
async function withFile(
  files: ReadonlyMap<string, Uint8Array>,
  path: string,
  content: Uint8Array,
): Promise<Map<string, Uint8Array>> {
  const manifest = JSON.parse(new TextDecoder().decode(files.get("manifest.json"))) as {
    checksum?: string;
    files: { path: string; sha256: string }[];
  };
  delete manifest.checksum;
  const digest = Buffer.from(await crypto.subtle.digest("SHA-256", content as BufferSource)).toString("hex");
  manifest.files.forEach((entry) => (entry.sha256 = entry.path === path ? digest : entry.sha256));
  return new Map([...files, [path, content], ["manifest.json", new TextEncoder().encode(JSON.stringify(manifest))]]);
}
