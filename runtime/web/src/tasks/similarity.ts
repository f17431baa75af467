/** How two embeddings are compared, as the bundle's manifest names it. */

import type { Similarity } from "../bundle/manifest.js";
import { InputError } from "../errors.js";

/** Similarity of two vectors of one length, larger is nearer; null is cosine. -infinity where one isn't finite. */
export function similarity(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  name: Similarity | null = null,
): number {
  if (first.length !== second.length)
    throw new InputError(`similarity: vectors of ${first.length} and ${second.length} numbers`);
  const [a, b] = [Float64Array.from(first), Float64Array.from(second)];
  if (![...a, ...b].every(Number.isFinite)) return -Infinity;
  if (name === "dot") return dot(a, b);
  const difference = a.map((value, i) => value - (b[i] as number));
  if (name === "euclidean") return -Math.sqrt(dot(difference, difference));
  if (name === "manhattan") return -difference.reduce((sum, value) => sum + Math.abs(value), 0);
  return dot(a, b) / Math.max(Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b)), 1e-12);
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}
