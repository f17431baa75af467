/** What goes into a model: which kind of row feeds which input, and for a benchmark one row of a typical size. */

import { BATCH, SEQUENCE, type Manifest, type Role, type TensorSpec, type VariantEntry } from "../bundle/manifest.js";
import { record } from "../bundle/json_fields.js";
import type { Kind } from "../tasks/task.js";
import { TASKS, getTask } from "../tasks/tasks.js";
import { count, setAt, zeros, type Tensors } from "../tensor.js";

// of a named dimension, where the bundle names no length: a sentence or two, a second of sound, a usual picture
const USUAL_SIZES: Readonly<Record<string, number>> = {
  [SEQUENCE]: 64,
  samples: 16_000,
  frames: 100,
  height: 224,
  width: 224,
};

const ROLES_OF: Readonly<Record<Kind, readonly Role[]>> = {
  text: ["tokens", "mask", "token_types"],
  image: ["pixels"],
  audio: ["samples", "features", "mask"],
};

/** Those of a model's `inputs` that preprocessing of `kind` makes; all of them where `kinds` has no other. */
export function inputsFedBy(kind: Kind, kinds: Iterable<Kind>, inputs: readonly TensorSpec[]): readonly TensorSpec[] {
  const others = [...kinds].filter((other) => other !== kind).flatMap((other) => ROLES_OF[other]);
  return inputs.filter(
    (item) => item.role === null || ROLES_OF[kind].includes(item.role) || !others.includes(item.role),
  );
}

/** Those of a model's inputs that one prediction feeds: of a model of two towers perhaps one tower's. */
export function predictionInputs(manifest: Manifest): readonly TensorSpec[] {
  const kinds = new Set(manifest.preprocess.map((item) => item.kind));
  const wanted = Object.hasOwn(TASKS, manifest.task.name) ? getTask(manifest.task, manifest.outputs).kinds : [];
  if (wanted.length >= kinds.size || !wanted.every((kind) => kinds.has(kind))) return manifest.inputs;
  const fed = wanted.flatMap((kind) => inputsFedBy(kind, kinds, manifest.inputs));
  const found = manifest.inputs.filter((spec) => fed.includes(spec));
  return found.length > 0 ? found : manifest.inputs;
}

/** A size of each named dimension of a prediction's inputs, but the batch, that all of `variants` take. */
export function typicalSizes(manifest: Manifest, variants: readonly VariantEntry[]): Record<string, number> {
  const names = new Set(
    predictionInputs(manifest).flatMap((spec) => spec.shape.filter((dim) => typeof dim === "string")),
  );
  names.delete(BATCH);
  return record([...names].sort().map((name) => [name, typical(name, manifest, variants)]));
}

function typical(name: string, manifest: Manifest, variants: readonly VariantEntry[]): number {
  const known = variants.map((variant) => variant.lengths[name] ?? []).filter((lengths) => lengths.length > 0);
  const all = [...new Set(known.flat())].sort((a, b) => a - b);
  if (all.length > 0)
    return Math.min(all[Math.floor(all.length / 2)] as number, ...known.map((lengths) => Math.max(...lengths)));
  const usual = USUAL_SIZES[name] ?? 1;
  const text = manifest.preprocess.find((item) => item.kind === "text");
  return name === SEQUENCE && text !== undefined ? Math.min(usual, text.maxLength) : usual;
}

/**
 * One row of valid input. Latency of a transformer depends on its shape, hardly on its content.
 *
 * Integers are the smallest that isn't padding, 0 for token types; floats are normally distributed, the same each time.
 */
export function syntheticFeeds(inputs: readonly TensorSpec[], sizes: Readonly<Record<string, number>>): Tensors {
  const random = normal(1);
  return record(
    inputs.map((spec) => {
      const shape = spec.shape.map((dim) => (typeof dim === "string" ? (sizes[dim] ?? 1) : dim));
      const data = zeros(spec.dtype, count(shape));
      const integer = spec.role === "token_types" || spec.padValue !== 0 ? 0 : 1;
      for (let i = 0; i < data.length; i++) setAt(data, i, spec.dtype.startsWith("float") ? random() : integer);
      return [spec.name, { dtype: spec.dtype, shape, data }];
    }),
  );
}

/** Box and Muller's transform of a linear congruential generator. */
function normal(seed: number): () => number {
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
