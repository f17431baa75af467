/** zero-shot-image-classification: which of several labels describes a picture, by the vectors of their texts. */

import type { TaskSpec } from "../bundle/manifest.js";
import { InputError, RuntimeBundleError } from "../errors.js";
import { isFinite } from "../tensor.js";
import { output, vector, type MakeTask, type Task } from "./task.js";
import { classified } from "./classification.js";
import type { Embedding } from "./feature_extraction.js";
import { checkedTowers, logit } from "./image_text_similarity.js";
import { activated } from "./scores.js";
import { similarity } from "./similarity.js";

const TEMPLATE = "This is a photo of {}.";

/** The task before it has labels: `withLabels` gives it some. */
export const zeroShotImageClassification: MakeTask = (spec, outputs) => {
  const [image, text] = checkedTowers(spec, outputs);
  return {
    spec,
    kinds: ["image"],
    reads: [image],
    embeds: { image, text },
    predict: () => {
      throw new InputError(`task ${spec.name}: no labels: name them, predict(…, {labels: […]})`);
    },
  };
};

/** The task between `labels`, of whose texts `vectors` are. */
export function withLabels(task: Task, labels: readonly string[], vectors: readonly Float32Array[]): Task {
  const { spec } = task;
  return {
    ...task,
    predict(found, encoded) {
      const picture = vector(spec, output(spec, found, task.reads[0] as string));
      const logits = Float64Array.from(vectors, (item) => {
        if (item.length !== picture.length) {
          throw new RuntimeBundleError(
            `task ${spec.name}: a picture's vector has ${picture.length} numbers, a label's ${item.length}`,
          );
        }
        return logit(spec, similarity(picture, item));
      });
      return classified({ ...spec, labels }, activated(spec, logits), encoded);
    },
  };
}

/** What the text tower gets for each label. */
export function labelTexts(spec: TaskSpec, labels: readonly string[]): string[] {
  return labels.map((label) => (spec.hypothesisTemplate ?? TEMPLATE).replaceAll("{}", () => label));
}

/** Labels that a caller named; throws InputError unless they are at least two texts, each once and not empty. */
export function checkLabels(labels: unknown): readonly string[] {
  if (!Array.isArray(labels) || !labels.every((label) => typeof label === "string" && label.trim() !== "")) {
    throw new InputError("labels: expected a list of texts, none of them empty");
  }
  if (labels.length < 2 || new Set(labels).size !== labels.length)
    throw new InputError("labels: expected at least two, each once");
  return labels as string[];
}

/** The rows of a bundle's file of label vectors. */
export function storedVectors(data: Uint8Array, labels: number): Float32Array[] {
  const all = new Float32Array(data.slice().buffer);
  if (!isFinite(all))
    throw new RuntimeBundleError("the bundle's label vectors hold NaN or infinity: compile the bundle again");
  const size = all.length / labels;
  return Array.from({ length: labels }, (_, index) => all.slice(index * size, (index + 1) * size));
}

/** The vectors of labels' texts; throws InputError for a label that is cut, or two that the model can't tell apart. */
export function toldApart(labels: readonly string[], found: readonly Embedding[]): Float32Array[] {
  found.forEach((item, index) => {
    if (item.truncated)
      throw new InputError(`label '${labels[index]}': its text is longer than the model reads: shorten it`);
    const same = found.findIndex((other) => String(other.embedding) === String(item.embedding));
    if (same !== index)
      throw new InputError(`labels '${labels[same]}' and '${labels[index]}': the model gives both one vector`);
  });
  return found.map((item) => item.embedding);
}
