/** One label of several, several labels, or a number: for a text or a pair, a picture, a sound. */

import type { TaskSpec } from "../bundle/manifest.js";
import { RuntimeBundleError } from "../errors.js";
import type { Encoded } from "./encoded.js";
import { record } from "../bundle/json_fields.js";
import { floats } from "../tensor.js";
import { checkSpec, common, labelled, output, type Kind, type MakeTask, type Prediction } from "./task.js";
import { activated, best } from "./scores.js";

export interface Classification extends Prediction {
  /** The label of the highest score, and that score. */
  readonly label: string;
  readonly score: number;
  readonly scores: Readonly<Record<string, number>>;
  /** Those that apply: the best one, or with several labels all from the threshold up. */
  readonly labels: readonly string[];
}

export interface Regression extends Prediction {
  readonly value: number;
}

/** The task of classifying what `kind` of preprocessing makes. Output: logits [1, labels], or [1, 1] for a number. */
export function classification(kind: Kind): MakeTask {
  return (spec, outputs) => {
    checkSpec(spec, outputs, 1, true);
    return {
      spec,
      kinds: [kind],
      reads: outputs,
      embeds: {},
      predict(found, encoded): Classification | Regression {
        outputs.forEach((name) => output(spec, found, name));
        const logits = output(spec, found, outputs[0] as string);
        if (!spec.regression) return classified(spec, activated(spec, floats(labelled(spec, logits, 2).data)), encoded);
        if (logits.data.length !== 1)
          throw new RuntimeBundleError(`task regression: expected one number, got [${logits.shape.join(", ")}]`);
        return { ...common(encoded), value: activated(spec, floats(logits.data))[0] as number };
      },
    };
  };
}

/** What scores [labels] say. */
export function classified(spec: TaskSpec, scores: Float64Array, encoded: Encoded): Classification {
  const first = best(scores);
  const label = spec.labels[first] as string;
  return {
    ...common(encoded),
    label,
    score: scores[first] as number,
    scores: record(spec.labels.map((name, i) => [name, scores[i] as number])),
    labels: spec.multiLabel ? spec.labels.filter((_, i) => (scores[i] as number) >= spec.threshold) : [label],
  };
}
