/** What tests share: where things lie, the engines as Node loads them, and a reader of plain PNG files. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runInThisContext } from "node:vm";
import { inflateSync } from "node:zlib";
import * as ort from "onnxruntime-web/wasm";

import { LiteRt, type LiteRtModule } from "../src/engines/litert.js";
import { OnnxRuntime, type OnnxRuntimeModule } from "../src/engines/onnxruntime.js";
import type { Pixels } from "../src/image/image_encoder.js";

const require = createRequire(import.meta.url);

/** The folder of package.json: tests run compiled, in build/test. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const REPOSITORY = join(ROOT, "..", "..");
export const CONFORMANCE = join(REPOSITORY, "tests", "conformance");

/** What the Python runtime makes of the same: the folder that tests/apps/expected.py wrote. */
export const EXPECTED = process.env["EDGEFORMER_EXPECTED"] ?? "";
export const skip = EXPECTED === "" && "EDGEFORMER_EXPECTED names no folder that tests/apps/expected.py wrote";

export function onnxRuntime(): OnnxRuntime {
  return new OnnxRuntime(ort as unknown as OnnxRuntimeModule);
}

/** LiteRT's loader wants a worker's `self` and `importScripts`, and what Node gives to older modules alone. */
export async function liteRt(): Promise<LiteRt> {
  const folder = join(dirname(require.resolve("@litertjs/core")), "..", "wasm");
  Object.assign(globalThis, {
    self: globalThis,
    require,
    __filename: join(folder, "litert.js"),
    __dirname: folder,
    importScripts: (path: string) => runInThisContext(readFileSync(path, "utf8"), { filename: path }),
    Module: {
      wasmBinary: readFileSync(join(folder, "litert_wasm_compat_internal.wasm")),
      print: () => undefined,
      printErr: () => undefined,
    },
  });
  const litert = await import("@litertjs/core");
  await litert.loadLiteRt(`${folder}/`);
  const { version } = JSON.parse(readFileSync(join(folder, "..", "package.json"), "utf8")) as { version: string };
  return new LiteRt(litert as unknown as LiteRtModule, { version });
}

/**
 * The pixels of a PNG file of 8-bit RGBA, not interlaced: the platform decodes in a browser, and Node has nothing for
 * it.
 */
export function readPng(file: Uint8Array): Pixels {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (view.getUint32(24) !== 0x08060000) throw new Error("expected 8-bit RGBA");
  const parts: Uint8Array[] = [];
  for (let at = 8; at < file.length; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at + 4) === 0x49444154) parts.push(file.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  const raw = inflateSync(Buffer.concat(parts));
  const stride = width * 4;
  const data = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)] as number;
    for (let x = 0; x < stride; x++) {
      const left = x < 4 ? 0 : (data[y * stride + x - 4] as number);
      const up = y === 0 ? 0 : (data[(y - 1) * stride + x] as number);
      const corner = x < 4 || y === 0 ? 0 : (data[(y - 1) * stride + x - 4] as number);
      const before = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] as number;
      data[y * stride + x] = (raw[y * (stride + 1) + 1 + x] as number) + before;
    }
  }
  return { width, height, data };
}

function paeth(left: number, up: number, corner: number): number {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
