/** Opens edgeformer bundles in a browser and in Node. See examples/web_guide.md. */

export { Bundle } from "./bundle/bundle.js";
export { readGolden } from "./bundle/golden.js";
export { memorySource, urlSource, type BundleSource } from "./bundle/source.js";
export { zipSource } from "./bundle/zip.js";
export { LiteRt } from "./engines/litert.js";
export { OnnxRuntime } from "./engines/onnxruntime.js";
export * from "./errors.js";
export { VERSION, type Report } from "./report/report.js";
export { Session, type SessionOptions } from "./session.js";
export type { Prediction } from "./tasks/task.js";
export { similarity } from "./tasks/similarity.js";
export { tensor, type Tensor, type Tensors } from "./tensor.js";
export { defaultMemory, shortMemory, type Memory } from "./selection/memory.js";
