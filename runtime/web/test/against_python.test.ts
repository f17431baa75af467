/** The same as the Python runtime, bit by bit: tests/apps/expected.py writes what it makes of odd input. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { encodeAudio } from "../src/audio/audio_encoder.js";
import { readAudio } from "../src/audio/audio_preprocess.js";
import { readManifest } from "../src/bundle/manifest_reader.js";
import { readJson } from "../src/bundle/strict_json.js";
import { InputError, RuntimeBundleError } from "../src/errors.js";
import { encodeImage } from "../src/image/image_encoder.js";
import { readImage } from "../src/image/image_preprocess.js";
import { EXPECTED, skip } from "./tools.js";

function load<T>(name: string): T[] {
  return JSON.parse(readFileSync(join(EXPECTED, `${name}.json`), "utf8")) as T[];
}

/** Settings as a manifest would hold them. */
function settings<T>(read: (value: ReturnType<typeof readJson>, where: string) => T, value: object): T {
  return read(readJson(new TextEncoder().encode(JSON.stringify(value)), "settings"), "settings");
}

test("mutated manifests have the same codes, and the same parts are skipped", { skip }, async () => {
  const cases = load<[string, unknown]>("manifests");
  const different: string[] = [];
  for (const [text, expected] of cases) {
    let found: unknown;
    let message = "";
    try {
      const manifest = await readManifest(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
      found = manifest.skipped.map((item) => [item.part, item.name]);
    } catch (error) {
      assert.ok(error instanceof RuntimeBundleError, `${String(error)} of ${text.slice(0, 200)}`);
      found = error.code;
      message = error.message;
    }
    if (JSON.stringify(found) !== JSON.stringify(expected)) {
      different.push(
        `${JSON.stringify(found)} instead of ${JSON.stringify(expected)}: ${message}: ${text.slice(0, 100)}`,
      );
    }
  }
  assert.ok(cases.length > 1000);
  assert.deepEqual(different.slice(0, 20), [], `${different.length} of ${cases.length}`);
});

interface Picture {
  readonly settings: object;
  readonly width: number;
  readonly height: number;
  readonly pixels: number[];
  readonly bits: number[];
  readonly shape: number[];
}

test("pictures of odd sizes become the same tensors, bit by bit", { skip }, () => {
  for (const known of load<Picture>("pictures")) {
    const { width, height } = known;
    const encoded = encodeImage(settings(readImage, known.settings), {
      width,
      height,
      data: Uint8Array.from(known.pixels),
    });
    const found = encoded.feeds["pixel_values"];
    assert.deepEqual(found?.shape, known.shape);
    const bits = new Int32Array(found?.data.buffer as ArrayBuffer);
    assert.deepEqual([...bits], known.bits, `${width} x ${height} ${JSON.stringify(known.settings)}`);
  }
});

interface Sounds {
  readonly settings: object;
  readonly rate: number;
  readonly samples: number[];
  readonly feeds: Record<string, [number[], number[]]> | null;
}

test("sounds at other rates and spectrograms are the same within 1e-5", { skip }, async () => {
  for (const known of load<Sounds>("sounds")) {
    const preprocess = settings(readAudio, known.settings);
    const item = { samples: Float32Array.from(known.samples), rateHz: known.rate };
    if (known.feeds === null) {
      await assert.rejects(
        encodeAudio(preprocess, item, () => undefined),
        InputError,
      );
      continue;
    }
    const { feeds } = await encodeAudio(preprocess, item, () => undefined);
    assert.deepEqual(Object.keys(feeds).sort(), Object.keys(known.feeds).sort());
    for (const [name, [shape, values]] of Object.entries(known.feeds)) {
      assert.deepEqual(feeds[name]?.shape, shape, JSON.stringify(known.settings));
      const found = Array.from(feeds[name]?.data as ArrayLike<number>, Number);
      const worst = Math.max(...found.map((value, index) => Math.abs(value - (values[index] as number))));
      assert.ok(worst <= 1e-5, `${name}: off by ${worst}: ${JSON.stringify(known.settings)} at ${known.rate}`);
    }
  }
});
