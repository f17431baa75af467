/** Whether a model of half precision may be tried on the GPU here. */

import { EngineError } from "../errors.js";

interface Gpu {
  requestAdapter(): Promise<{ readonly features: { has(name: string): boolean } } | null>;
}

const NEEDED = "shader-f16";

/** Throws EngineError, with the reason, where WebGPU is missing or computes in single precision alone. */
export async function checkWebGpu(): Promise<void> {
  const gpu = (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu;
  if (gpu === undefined) throw new EngineError("this browser has no WebGPU, or none for pages from here");
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new EngineError("WebGPU finds no GPU here that it may use");
  if (!adapter.features.has(NEEDED))
    throw new EngineError(`its GPU doesn't compute in half precision (${NEEDED}), which models need`);
}
