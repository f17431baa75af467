/** question-answering: the span of a context that answers a question. */

import { RuntimeBundleError } from "../errors.js";
import { ofText, slice } from "./encoded.js";
import { floats } from "../tensor.js";
import { checkSpec, common, output, type MakeTask, type Prediction } from "./task.js";
import { softmax } from "./scores.js";

/** `start` and `end` count code points of the context; `score` is p(start) · p(end). */
export interface Answer extends Prediction {
  readonly text: string;
  readonly score: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Outputs: logits of starts and of ends, both [1, tokens]. The best span inside the context is given, however low its
 * score.
 */
export const questionAnswering: MakeTask = (spec, outputs) => {
  checkSpec(spec, outputs, 2, false);
  return {
    spec,
    kinds: ["text"],
    reads: outputs,
    embeds: {},
    predict(found, row): Answer {
      const encoded = ofText(row);
      outputs.forEach((name) => output(spec, found, name));
      const [starts, ends] = outputs.slice(0, 2).map((name) => {
        const { shape, data } = output(spec, found, name);
        if (String(shape) !== String([1, encoded.tokens])) {
          throw new RuntimeBundleError(
            `task question-answering: expected ${name} [1, ${encoded.tokens}], got [${shape.join(", ")}]`,
          );
        }
        return floats(data);
      }) as [Float64Array, Float64Array];
      const tokens = encoded.texts.flatMap((text, index) => (text === 1 ? [index] : []));
      if (tokens.length === 0) return { ...common(encoded), text: "", score: 0, start: 0, end: 0 };
      const of = (logits: Float64Array): Float64Array =>
        softmax(Float64Array.from(tokens, (token) => logits[token] as number));
      const { first, last, score } = bestSpan(of(starts), of(ends), spec.longestAnswer);
      const start = (encoded.offsets[tokens[first] as number] as readonly [number, number])[0];
      const end = (encoded.offsets[tokens[last] as number] as readonly [number, number])[1];
      return { ...common(encoded), text: slice(encoded.source[1] ?? "", start, end), score, start, end };
    },
  };
};

function bestSpan(
  starts: Float64Array,
  ends: Float64Array,
  longest: number,
): { first: number; last: number; score: number } {
  let found = { first: 0, last: 0, score: -1 };
  for (let i = 0; i < starts.length; i++) {
    for (let j = i; j < Math.min(i + longest, ends.length); j++) {
      const score = (starts[i] as number) * (ends[j] as number);
      if (score > found.score) found = { first: i, last: j, score };
    }
  }
  return found;
}
