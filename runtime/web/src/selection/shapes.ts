/** Tensors made longer, shorter, and put together along an axis. */

import type { TensorSpec } from "../bundle/manifest.js";
import { count, setAt, zeros, type Data, type Tensor } from "../tensor.js";

type Sizes = Readonly<Record<string, number>>;

/** The dimensions of `sizes` filled up at their end with the input's pad value. */
export function padded(value: Tensor, spec: TensorSpec, sizes: Sizes): Tensor {
  return resized(value, spec, sizes, spec.padValue);
}

/** The dimensions of `sizes` cut back at their end. */
export function trimmed(value: Tensor, spec: TensorSpec, sizes: Sizes): Tensor {
  return resized(value, spec, sizes, 0);
}

function resized(value: Tensor, spec: TensorSpec, sizes: Sizes, fill: number): Tensor {
  let found = value;
  spec.shape.forEach((dim, axis) => {
    const size = typeof dim === "string" ? sizes[dim] : undefined;
    if (size !== undefined && size !== found.shape[axis])
      found = along(
        found,
        axis,
        Array.from({ length: size }, (_, i) => i),
        fill,
      );
  });
  return found;
}

/** The rows of `index` along the batch; a tensor without one stays as it is. */
export function picked(value: Tensor, spec: TensorSpec, index: readonly number[]): Tensor {
  const axis = spec.shape.indexOf("batch");
  return axis < 0 ? value : along(value, axis, index, 0);
}

/** Tensors behind each other along `axis`. */
export function joined(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0] as Tensor;
  if (parts.length === 1) return first;
  const inner = count(first.shape.slice(axis + 1));
  const outer = count(first.shape.slice(0, axis));
  const size = parts.reduce((sum, part) => sum + (part.shape[axis] as number), 0);
  const data = zeros(first.dtype, outer * size * inner);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const part of parts) {
      const length = (part.shape[axis] as number) * inner;
      put(data, part.data.subarray(o * length, (o + 1) * length) as Data, at);
      at += length;
    }
  }
  return { dtype: first.dtype, shape: first.shape.map((s, i) => (i === axis ? size : s)), data };
}

/** The entries of `index` along an axis; those beyond its end are `fill`. */
function along(value: Tensor, axis: number, index: readonly number[], fill: number): Tensor {
  const size = value.shape[axis] as number;
  const inner = count(value.shape.slice(axis + 1));
  const outer = count(value.shape.slice(0, axis));
  const data = zeros(value.dtype, outer * index.length * inner);
  if (fill !== 0) for (let i = 0; i < data.length; i++) setAt(data, i, fill);
  for (let o = 0; o < outer; o++) {
    index.forEach((from, to) => {
      if (from >= size) return;
      const start = (o * size + from) * inner;
      put(data, value.data.subarray(start, start + inner) as Data, (o * index.length + to) * inner);
    });
  }
  return { dtype: value.dtype, shape: value.shape.map((s, i) => (i === axis ? index.length : s)), data };
}

function put(to: Data, from: Data, at: number): void {
  (to as Float32Array).set(from as Float32Array, at); // both have one dtype
}
