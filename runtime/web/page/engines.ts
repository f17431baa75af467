/** The engines that lie beside the page or inside of it; nothing is loaded from elsewhere. */

import type { Engine } from "../src/engines/engine.js";
import { LiteRt, type LiteRtModule } from "../src/engines/litert.js";
import { OnnxRuntime, type OnnxRuntimeModule } from "../src/engines/onnxruntime.js";
import { checkWebGpu } from "../src/engines/webgpu.js";
import { EngineError } from "../src/errors.js";
import type { PageConfig, PageFiles } from "./files.js";

const MOST_THREADS = 4;
const LITERT = "engines/litert/";

/** Threads need a page that is cross-origin isolated; elsewhere there is one. */
function threads(): number {
  return globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
}

export async function loadEngines(config: PageConfig, files: PageFiles): Promise<Engine[]> {
  const found: Engine[] = [];
  if ("onnxruntime" in config.engines) found.push(await onnxRuntime(files));
  const version = config.engines["litert"];
  if (version !== undefined) {
    const count = config.embedded ? 1 : threads();
    found.push(new LiteRt(await liteRt(config, files), { version, threads: count }));
  }
  return found;
}

/** The engine that runs on the GPU; throws EngineError where there is none. */
export async function loadWebGpu(config: PageConfig, files: PageFiles): Promise<Engine[]> {
  const version = config.engines["litert"];
  if (version === undefined) throw new EngineError("LiteRT runs models on the GPU, and the page came without it");
  await checkWebGpu();
  return [new LiteRt(await liteRt(config, files), { version, accelerator: "webgpu" })];
}

async function onnxRuntime(files: PageFiles): Promise<Engine> {
  const folder = "engines/onnxruntime/";
  const ort = (await import(await files.url(`${folder}ort.wasm.bundle.min.mjs`))) as OnnxRuntimeModule;
  const path = `${folder}ort-wasm-simd-threaded.wasm`;
  const wasm = await files.inside(path);
  if (wasm === null) ort.env.wasm.wasmPaths = { wasm: await files.url(path) };
  else ort.env.wasm.wasmBinary = wasm.buffer as ArrayBuffer;
  return new OnnxRuntime(ort, { threads: wasm === null ? threads() : 1 });
}

interface LiteRtLoader extends LiteRtModule {
  loadLiteRt(path: string, options?: { threads: boolean }): Promise<unknown>;
  supportsFeature(name: "relaxedSimd"): Promise<boolean>;
}

let loaded: Promise<LiteRtLoader> | null = null; // its wasm can be loaded once

function liteRt(config: PageConfig, files: PageFiles): Promise<LiteRtLoader> {
  return (loaded ??= config.embedded ? liteRtInside(files) : liteRtBeside(files));
}

async function liteRtBeside(files: PageFiles): Promise<LiteRtLoader> {
  const litert = (await import(await files.url(`${LITERT}index.js`))) as LiteRtLoader;
  const [folder, many] = [await files.url(`${LITERT}wasm/`), threads() > 1];
  // In a worker of a blob it would look for its files beside the blob.
  const mainScriptUrlOrBlob = `${folder}litert_wasm_threaded_internal.js`;
  Object.assign(globalThis, {
    Module: { locateFile: (name: string) => folder + name, ...(many ? { mainScriptUrlOrBlob } : {}) },
  });
  await litert.loadLiteRt(folder, { threads: many });
  return litert;
}

async function liteRtInside(files: PageFiles): Promise<LiteRtLoader> {
  // A module of a blob can't import one beside it: the import gets the other's address.
  const utilities = await files.url(`${LITERT}wasm-utils.js`);
  const text = new TextDecoder()
    .decode((await files.inside(`${LITERT}index.js`)) ?? undefined)
    .replace("./wasm-utils.js", utilities);
  const litert = (await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })))) as LiteRtLoader;
  const name = (await litert.supportsFeature("relaxedSimd")) ? "litert_wasm_internal" : "litert_wasm_compat_internal";
  Object.assign(globalThis, { Module: { wasmBinary: await files.inside(`${LITERT}wasm/${name}.wasm`) } });
  // it looks at how the address ends
  await litert.loadLiteRt(`${await files.url(`${LITERT}wasm/${name}.js`)}#${name}.js`);
  return litert;
}
