/** What a task is to a session: what it takes, and the result that it makes of a row's outputs. */

import type { TaskSpec } from "../bundle/manifest.js";
import { RuntimeBundleError } from "../errors.js";
import type { Encoded } from "./encoded.js";
import { isFinite, type Tensor, type Tensors } from "../tensor.js";

export type Kind = "text" | "image" | "audio";

/** Common to every prediction. Key by key what FORMAT.md says of predictions as JSON data. */
export interface Prediction {
  readonly tokens: number | null;
  readonly truncated: boolean;
  readonly tokens_cut: number | null;
}

/** One task, for one model. Its functions throw RuntimeBundleError for outputs that don't fit it. */
export interface Task {
  readonly spec: TaskSpec;
  /** The kinds of preprocessing that make a row's inputs; none where arrays alone go in. */
  readonly kinds: readonly Kind[];
  /** Names of the outputs that a prediction is made of. */
  readonly reads: readonly string[];
  /** Kinds of which it gives vectors, each with its output. */
  readonly embeds: Readonly<Partial<Record<Kind, string>>>;
  predict(outputs: Tensors, encoded: Encoded): Prediction;
}

/** Makes a task of a manifest's facts and the names of the model's outputs. */
export type MakeTask = (spec: TaskSpec, outputs: readonly string[]) => Task;

/** The facts of a row that every prediction repeats. */
export function common(encoded: Encoded): Prediction {
  return { tokens: encoded.tokens, truncated: encoded.truncated, tokens_cut: encoded.tokensCut };
}

/** One of a row's outputs; throws where it isn't there, or holds NaN or infinity. */
export function output(spec: TaskSpec, outputs: Tensors, name: string): Tensor {
  const found = outputs[name];
  if (found === undefined) {
    throw new RuntimeBundleError(`task ${spec.name}: what ran gives ${Object.keys(outputs).join(", ")} and no ${name}`);
  }
  if (!isFinite(found.data)) {
    throw new RuntimeBundleError(
      `output '${name}' holds NaN or infinity: the variant doesn't work here, try another one`,
    );
  }
  return found;
}

/** float32 [dimensions] of an output [1, dimensions]. */
export function vector(spec: TaskSpec, found: Tensor): Float32Array {
  if (found.shape.length !== 2)
    throw new RuntimeBundleError(`task ${spec.name}: expected [1, dimensions], got [${found.shape.join(", ")}]`);
  return Float32Array.from(found.data as ArrayLike<number>, Number).slice(0, found.shape[1]);
}

/** Logits [1, …, labels], once it is sure that they have that shape. */
export function labelled(spec: TaskSpec, logits: Tensor, dimensions: number): Tensor {
  const labels = spec.labels.length;
  if (logits.shape.length === dimensions && logits.shape.at(-1) === labels && labels > 0) return logits;
  throw new RuntimeBundleError(
    `task ${spec.name}: ${labels} labels and ${dimensions} dimensions expected, got shape ` +
      `[${logits.shape.join(", ")}]: the ` +
      "manifest doesn't fit the model, compile the bundle again",
  );
}

/** Throw where there are fewer outputs than the task needs, or an activation that it has no use for. */
export function checkSpec(spec: TaskSpec, outputs: readonly string[], needed: number, hasActivation: boolean): void {
  if (spec.activation !== null && !hasActivation) {
    throw new RuntimeBundleError(
      `task ${spec.name}: activation '${spec.activation}': expected none, such a task has no scores`,
    );
  }
  if (outputs.length < needed)
    throw new RuntimeBundleError(`task ${spec.name}: expected ${needed} outputs, got ${outputs.length}`);
}
