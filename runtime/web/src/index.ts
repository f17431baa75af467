/** Opens edgeformer bundles in a browser and in Node. See examples/web_guide.md. */

export { Bundle } from "./bundle/bundle.js";
export { readGolden } from "./bundle/golden.js";
export { memorySource, urlSource, type BundleSource } from "./bundle/source.js";
export { zipSource } from "./bundle/zip.js";
export { LiteRt } from "./engines/litert.js";
export { OnnxRuntime } from "./engines/onnxruntime.js";
export { checkWebGpu } from "./engines/webgpu.js";
export * from "./errors.js";
export { VERSION, type Report } from "./report/report.js";
export { Session, type SessionOptions } from "./session.js";
export type { Classification, Regression } from "./tasks/classification.js";
export type { Embedding } from "./tasks/feature_extraction.js";
export type { ImageTextSimilarity } from "./tasks/image_text_similarity.js";
export type { Answer } from "./tasks/question_answering.js";
export type { Prediction } from "./tasks/task.js";
export type { Entity, TokenClassification } from "./tasks/token_classification.js";
export { similarity } from "./tasks/similarity.js";
export { tensor, type Tensor, type Tensors } from "./tensor.js";
export { defaultMemory, shortMemory, type Memory } from "./selection/memory.js";
