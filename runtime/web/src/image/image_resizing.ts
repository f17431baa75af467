/** Resizing of bytes, equal to Pillow's `Image.resize`; formulas and their order are FORMAT.md's, "Resize". */

import type { Filter } from "./image_preprocess.js";

type Pair = readonly [number, number];

/** One plane of bytes, row by row. */
export interface Plane {
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

/** The `part` [rows, columns] from `start` on of `plane` resized to `size`. Only what the part needs is computed. */
export function resize(plane: Plane, size: Pair, filter: Filter, start: Pair, part: Pair, cubicA: number): Plane {
  if (filter === "nearest") return nearest(plane, size, start, part);
  const rows = weights(plane.height, size[0], filter, start[0], part[0], cubicA);
  const columns = weights(plane.width, size[1], filter, start[1], part[1], cubicA);
  const heightFirst = size[0] < plane.height && plane.height - size[0] > 2 * (plane.width - size[1]);
  if (heightFirst) return alongRows(alongColumns(plane, rows, columns), columns, null);
  return alongColumns(alongRows(plane, columns, rows), rows, null);
}

/** Of each output the first input, and the integer weights from there on. `low`, `high`: which inputs are reached. */
interface Weights {
  readonly first: Int32Array;
  readonly factors: readonly Int32Array[];
  readonly low: number;
  readonly high: number;
  readonly identity: boolean;
}

const ONE = 1 << 22;

function weights(n: number, m: number, filter: Filter, start: number, part: number, cubicA: number): Weights {
  const first = new Int32Array(part);
  const factors: Int32Array[] = [];
  if (n === m) return { first, factors, low: start, high: start + part, identity: true };
  const scale = n / m;
  const stretch = Math.max(scale, 1);
  const [radius, value] = FILTERS[filter as keyof typeof FILTERS];
  const support = radius * stretch;
  for (let i = 0; i < part; i++) {
    const center = (start + i + 0.5) * scale;
    const from = Math.max(Math.trunc(center - support + 0.5), 0);
    const last = Math.min(Math.trunc(center + support + 0.5), n);
    const f = Array.from({ length: last - from }, (_, j) => value((from + j - center + 0.5) * (1 / stretch), cubicA));
    const sum = f.reduce((total, item) => total + item, 0);
    first[i] = from;
    factors.push(
      Int32Array.from(f, (item) => {
        const share = sum === 0 ? item : item / sum;
        return Math.trunc(share * ONE + (share >= 0 ? 0.5 : -0.5));
      }),
    );
  }
  return {
    first,
    factors,
    low: first[0] as number,
    high: (first[part - 1] as number) + (factors[part - 1] as Int32Array).length,
    identity: false,
  };
}

/**
 * One pass along each row: its columns become those of `along`. `keep`: the weights of the pass to come, which needs
 * the rows that it reaches alone, and counts them from the first of them; null where none is to come.
 */
function alongRows(plane: Plane, along: Weights, keep: Weights | null): Plane {
  const [low, high] = keep === null ? [0, plane.height] : [keep.low, keep.high];
  const width = along.first.length;
  const data = new Uint8Array((high - low) * width);
  for (let y = low; y < high; y++) {
    const row = plane.data.subarray(y * plane.width, (y + 1) * plane.width);
    const to = (y - low) * width;
    if (along.identity) {
      data.set(keep === null ? row : row.subarray(along.low, along.high), to);
      continue;
    }
    const skipped = keep === null ? along.low : 0;
    for (let x = 0; x < width; x++) {
      const factors = along.factors[x] as Int32Array;
      const from = (along.first[x] as number) - skipped;
      let sum = ONE / 2;
      for (let j = 0; j < factors.length; j++) sum += (factors[j] as number) * (row[from + j] as number);
      data[to + x] = clamped(sum);
    }
  }
  return { height: high - low, width, data };
}

/** The same along each column. */
function alongColumns(plane: Plane, along: Weights, keep: Weights | null): Plane {
  return transposed(alongRows(transposed(plane), along, keep));
}

function transposed(plane: Plane): Plane {
  const { height, width, data } = plane;
  const result = new Uint8Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) result[x * height + y] = data[y * width + x] as number;
  return { height: width, width: height, data: result };
}

function clamped(sum: number): number {
  return Math.min(Math.max(Math.floor(sum / ONE), 0), 255);
}

function nearest(plane: Plane, size: Pair, start: Pair, part: Pair): Plane {
  const rows = nearestOf(plane.height, size[0], start[0], part[0]);
  const columns = nearestOf(plane.width, size[1], start[1], part[1]);
  const data = new Uint8Array(part[0] * part[1]);
  rows.forEach((y, i) =>
    columns.forEach((x, j) => (data[i * part[1] + j] = plane.data[y * plane.width + x] as number)),
  );
  return { height: part[0], width: part[1], data };
}

/** Pillow adds the step again and again, so that its rounding errors add up too. */
function nearestOf(n: number, m: number, start: number, part: number): number[] {
  const step = n / m;
  const found: number[] = [];
  let position = step * 0.5;
  for (let i = 0; i < start + part; i++, position += step) if (i >= start) found.push(Math.trunc(position));
  return found;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

// how far a filter reaches at scale 1, and its weight at a distance
const FILTERS: Record<Exclude<Filter, "nearest">, readonly [number, (x: number, a: number) => number]> = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => (Math.abs(x) < 1 ? 1 - Math.abs(x) : 0)],
  hamming: [
    1,
    (x) => {
      const t = Math.abs(x) * Math.PI;
      if (t === 0) return 1;
      return Math.abs(x) >= 1 ? 0 : (Math.sin(t) / t) * (0.54 + 0.46 * Math.cos(t));
    },
  ],
  bicubic: [
    2,
    (signed, a) => {
      const x = Math.abs(signed);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  ],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};
