/** feature-extraction, image-feature-extraction: a vector, to be compared with those of others (`similarity`). */

import type { Encoded } from "./encoded.js";
import { checkSpec, common, output, vector, type Kind, type MakeTask, type Prediction } from "./task.js";

export interface Embedding extends Prediction {
  readonly embedding: Float32Array;
}

/** Output: [1, dimensions]; pooling and normalization are part of the model. */
export function featureExtraction(kind: Kind): MakeTask {
  return (spec, outputs) => {
    checkSpec(spec, outputs, 1, false);
    const first = outputs[0] as string;
    return {
      spec,
      kinds: [kind],
      reads: outputs,
      embeds: { [kind]: first },
      predict(found, encoded: Encoded): Embedding {
        outputs.forEach((name) => output(spec, found, name));
        return { ...common(encoded), embedding: vector(spec, output(spec, found, first)) };
      },
    };
  };
}
