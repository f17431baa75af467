/** From logits to scores between 0 and 1, in 64-bit floats. */

import type { TaskSpec } from "../bundle/manifest.js";

export function softmax(logits: Float64Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = logits.map((value) => Math.exp(value - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

/** Logistic function; the form by tanh doesn't overflow. */
export function sigmoid(value: number): number {
  return 0.5 * (1 + Math.tanh(0.5 * value));
}

/** A classifier's scores, by the task's activation: [labels], or one number for regression. */
export function activated(spec: TaskSpec, logits: Float64Array): Float64Array {
  const activation = spec.activation ?? (spec.regression ? null : spec.multiLabel ? "sigmoid" : "softmax");
  if (activation === "softmax") return softmax(logits);
  if (activation === "sigmoid") return logits.map(sigmoid);
  return activation === "tanh" ? logits.map(Math.tanh) : logits;
}

/** The place of the largest, the first of equal ones. */
export function best(values: ArrayLike<number>): number {
  let found = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[found] as number)) found = i;
  return found;
}
