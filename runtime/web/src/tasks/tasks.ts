/** Every task by the name that a manifest gives it; one file each. */

import type { TaskSpec, TensorSpec } from "../bundle/manifest.js";
import { InputError } from "../errors.js";
import type { MakeTask, Task } from "./task.js";
import { classification } from "./classification.js";
import { featureExtraction } from "./feature_extraction.js";
import { imageTextSimilarity } from "./image_text_similarity.js";
import { questionAnswering } from "./question_answering.js";
import { tensors } from "./tensors.js";
import { tokenClassification } from "./token_classification.js";
import { zeroShotImageClassification } from "./zero_shot_image_classification.js";

export const TASKS: Readonly<Record<string, MakeTask>> = {
  "text-classification": classification("text"),
  "token-classification": tokenClassification,
  "question-answering": questionAnswering,
  "feature-extraction": featureExtraction("text"),
  "image-classification": classification("image"),
  "image-feature-extraction": featureExtraction("image"),
  "image-text-similarity": imageTextSimilarity,
  "zero-shot-image-classification": zeroShotImageClassification,
  "audio-classification": classification("audio"),
  tensors,
};

/** The task of a manifest; throws InputError for one of a later release, RuntimeBundleError where it can't be. */
export function getTask(spec: TaskSpec, outputs: readonly TensorSpec[]): Task {
  const make = Object.hasOwn(TASKS, spec.name) ? TASKS[spec.name] : undefined;
  if (make === undefined)
    throw new InputError(
      `task '${spec.name}' is unknown here, which has ${Object.keys(TASKS).join(", ")}: update edgeformer-web`,
    );
  return make(
    spec,
    outputs.map((item) => item.name),
  );
}
