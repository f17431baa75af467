/** What a bundle says of itself, as read-only types: format 2 (FORMAT.md). `manifest_reader` makes them. */

import type { AudioPreprocess } from "../audio/audio_preprocess.js";
import { EngineError, RuntimeBundleError } from "../errors.js";
import type { ImagePreprocess } from "../image/image_preprocess.js";
import type { TextPreprocess } from "../text/text_preprocess.js";
import type { DType } from "../tensor.js";

export const FORMAT_VERSION = 2;
export const FORMATS = ["onnx", "tensorrt", "tflite", "coreml"] as const;
export const ACTIVATIONS = ["sigmoid", "softmax", "tanh"] as const;
export const SIMILARITIES = ["cosine", "dot", "euclidean", "manhattan"] as const;
export const ROLES = ["tokens", "mask", "token_types", "pixels", "samples", "features", "state", "cross"] as const;
export const UPDATES = ["append", "slot", "implicit"] as const;
export const BATCH = "batch";
export const SEQUENCE = "sequence";
export const MAIN = "main"; // the graph that is the model as one function

export type Activation = (typeof ACTIVATIONS)[number];
export type Similarity = (typeof SIMILARITIES)[number];
export type Role = (typeof ROLES)[number];
export type Preprocess = TextPreprocess | ImagePreprocess | AudioPreprocess;
export type Dim = number | string;

/** A named tensor. A string in `shape` names a dimension that varies ("batch", "sequence", …). */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  readonly padValue: number;
  readonly role: Role | null;
}

/** A tensor that a step of a graph hands to the next. Reserved: this runtime runs no steps. */
export interface State {
  readonly input: string;
  readonly output: string;
  readonly axis: number;
  readonly update: (typeof UPDATES)[number];
  readonly longest: number | null;
}

/** One function of a variant. `inputs` and `outputs` are null where they are those of the manifest. */
export interface Graph {
  readonly path: string;
  readonly inputs: readonly TensorSpec[] | null;
  readonly outputs: readonly TensorSpec[] | null;
  readonly states: readonly State[];
}

/** Of the compile's figures those that a report repeats. */
export interface Verification {
  readonly samples: number;
  readonly metricName: string | null;
  readonly metric: number | null;
}

/** One exported form of the model. */
export interface VariantEntry {
  readonly name: string;
  readonly format: (typeof FORMATS)[number];
  readonly engine: string;
  readonly graphs: Readonly<Record<string, Graph>>;
  readonly sizeBytes: number;
  readonly lengths: Readonly<Record<string, readonly number[]>>;
  readonly fixedBatch: number | null;
  readonly minEngineVersion: string | null;
  readonly verification: Verification | null;
}

/** What the model does, and what its outputs mean. */
export interface TaskSpec {
  readonly name: string;
  readonly labels: readonly string[];
  readonly multiLabel: boolean;
  readonly regression: boolean;
  readonly activation: Activation | null;
  readonly similarity: Similarity | null;
  readonly threshold: number;
  readonly longestAnswer: number;
  readonly scale: number;
  readonly bias: number;
  readonly hypothesisTemplate: string | null;
  readonly labelVectors: string | null;
}

export interface FileEntry {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A part of a manifest that this release doesn't know, with the reason; what is asked of it is refused. */
export interface Skipped {
  readonly part: "variant" | "preprocess" | "task";
  readonly name: string;
  readonly reason: string;
}

/** The whole of manifest.json. `recipe`, `sources` and `metrics` are handed on as they are. */
export interface Manifest {
  readonly formatVersion: number;
  readonly name: string;
  readonly producer: string;
  readonly task: TaskSpec;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly files: readonly FileEntry[];
  readonly variants: readonly VariantEntry[];
  readonly preprocess: readonly Preprocess[];
  readonly targets: readonly string[];
  readonly recipe: unknown;
  readonly sources: unknown;
  readonly metrics: unknown;
  readonly skipped: readonly Skipped[];
}

/** The variant called `name`; throws RuntimeBundleError naming those that exist, or why it was skipped. */
export function variantOf(manifest: Manifest, name: string): VariantEntry {
  const found = manifest.variants.find((entry) => entry.name === name);
  if (found !== undefined) return found;
  const skipped = manifest.skipped.find((item) => item.part === "variant" && item.name === name);
  if (skipped !== undefined) {
    throw new RuntimeBundleError(`bundle '${manifest.name}': variant '${name}' was skipped: ${skipped.reason}`);
  }
  const names = manifest.variants.map((entry) => entry.name).join(", ");
  throw new RuntimeBundleError(`bundle '${manifest.name}' has no variant '${name}': it has ${names}`);
}

/** The variant with one of its graphs alone, as its main one. */
export function ofGraph(variant: VariantEntry, graph: string): VariantEntry {
  const found = variant.graphs[graph];
  if (found === undefined) throw new EngineError(`variant '${variant.name}': has no graph '${graph}'`);
  return { ...variant, graphs: { [MAIN]: found } };
}
