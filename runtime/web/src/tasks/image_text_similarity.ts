/** image-text-similarity: how well a text describes a picture, by the vectors of the two. */

import type { TaskSpec } from "../bundle/manifest.js";
import { RuntimeBundleError } from "../errors.js";
import { checkSpec, common, output, vector, type MakeTask, type Prediction } from "./task.js";
import { sigmoid } from "./scores.js";
import { similarity } from "./similarity.js";

export interface ImageTextSimilarity extends Prediction {
  /** Cosine of their vectors. */
  readonly similarity: number;
  /** Probability that they belong together; null for models that only rank. */
  readonly score: number | null;
}

/** Outputs: the picture's vector [1, dimensions], then the text's. */
export const imageTextSimilarity: MakeTask = (spec, outputs) => {
  const [image, text] = checkedTowers(spec, outputs);
  return {
    spec,
    kinds: ["image", "text"],
    reads: outputs,
    embeds: { image, text },
    predict(found, encoded): ImageTextSimilarity {
      const [picture, words] = [image, text].map((name) => vector(spec, output(spec, found, name))) as [
        Float32Array,
        Float32Array,
      ];
      const cosine = similarity(picture, words);
      const score = spec.activation === "sigmoid" ? sigmoid(logit(spec, cosine)) : null;
      return { ...common(encoded), similarity: cosine, score };
    },
  };
};

/** The two outputs of a model of pictures and texts; throws where the task can't be of one. */
export function checkedTowers(spec: TaskSpec, outputs: readonly string[]): [string, string] {
  checkSpec(spec, outputs, 2, true);
  if (spec.regression || spec.activation === "tanh") {
    throw new RuntimeBundleError(`task ${spec.name}: expected no regression and no tanh: it compares vectors`);
  }
  return outputs.slice(0, 2) as [string, string];
}

/** scale · cosine + bias. */
export function logit(spec: TaskSpec, cosine: number): number {
  const found = spec.scale * cosine + spec.bias;
  if (Number.isFinite(found)) return found;
  throw new RuntimeBundleError(`task ${spec.name}: scale ${spec.scale} and bias ${spec.bias} give no finite scores`);
}
