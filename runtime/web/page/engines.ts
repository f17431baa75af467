/** The engines that lie beside the page or inside of it; nothing is loaded from elsewhere. */

import type { Engine } from "../src/engines/engine.js";
import { LiteRt, type LiteRtModule } from "../src/engines/litert.js";
import { OnnxRuntime, type OnnxRuntimeModule } from "../src/engines/onnxruntime.js";
import type { PageConfig, PageFiles } from "./files.js";

const MOST_THREADS = 4;

/** Threads need a page that is cross-origin isolated; elsewhere there is one. */
function threads(): number {
  return globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
}

export async function loadEngines(config: PageConfig, files: PageFiles): Promise<Engine[]> {
  const found: Engine[] = [];
  if ("onnxruntime" in config.engines) found.push(await onnxRuntime(files));
  if ("litert" in config.engines) found.push(await liteRt(files, config.engines["litert"] as string));
  return found;
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

async function liteRt(files: PageFiles, version: string): Promise<Engine> {
  const folder = "engines/litert/";
  const source = await files.inside(`${folder}index.js`);
  if (source === null) {
    const litert = (await import(await files.url(`${folder}index.js`))) as LiteRtLoader;
    const wanted = threads();
    await litert.loadLiteRt(await files.url(`${folder}wasm/`), { threads: wanted > 1 });
    return new LiteRt(litert, { version, threads: wanted });
  }
  // A module of a blob can't import one beside it: the import gets the other's address.
  const utilities = await files.url(`${folder}wasm-utils.js`);
  const text = new TextDecoder().decode(source).replace("./wasm-utils.js", utilities);
  const litert = (await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })))) as LiteRtLoader;
  const name = (await litert.supportsFeature("relaxedSimd")) ? "litert_wasm_internal" : "litert_wasm_compat_internal";
  Object.assign(globalThis, { Module: { wasmBinary: await files.inside(`${folder}wasm/${name}.wasm`) } });
  await litert.loadLiteRt(`${await files.url(`${folder}wasm/${name}.js`)}#${name}.js`); // it looks at how the address ends
  return new LiteRt(litert, { version });
}
