/** Arrays with a shape, row by row: what goes into an engine and comes out of it. */

import { InputError } from "./errors.js";
import { toHalf, fromHalf } from "./half.js";

export const DTYPES = ["bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"] as const;
export type DType = (typeof DTYPES)[number];

/** bool is Uint8Array of 0 and 1; int64 BigInt64Array; float16 Float32Array, whose values a half holds. */
export type Data = Uint8Array | Int8Array | Int16Array | Int32Array | BigInt64Array | Float32Array | Float64Array;

export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Data;
}

export type Tensors = Readonly<Record<string, Tensor>>;

const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Float32Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;
const BYTES = { bool: 1, int8: 1, uint8: 1, int16: 2, int32: 4, int64: 8, float16: 2, float32: 4, float64: 8 } as const;

/** The number of elements of a shape. */
export function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Bytes of one element as FORMAT.md stores it. */
export function itemBytes(dtype: DType): number {
  return BYTES[dtype];
}

/** `size` zeros of a dtype. */
export function zeros(dtype: DType, size: number): Data {
  return new ARRAYS[dtype](size);
}

/** A tensor of nested lists or flat numbers; throws InputError where their number isn't that of the shape. */
export function tensor(dtype: DType, shape: readonly number[], values: ArrayLike<number | bigint>): Tensor {
  if (values.length !== count(shape)) {
    throw new InputError(`tensor: shape [${shape.join(", ")}] has ${count(shape)} values, got ${values.length}`);
  }
  const data = zeros(dtype, values.length);
  for (let i = 0; i < values.length; i++) setAt(data, i, values[i] as number | bigint);
  return { dtype, shape: [...shape], data };
}

/** Put a number into an array of any dtype. */
export function setAt(data: Data, index: number, value: number | bigint): void {
  if (data instanceof BigInt64Array) data[index] = BigInt(value);
  else data[index] = Number(value);
}

/** The elements as 64-bit floats. */
export function floats(data: Data): Float64Array {
  return data instanceof Float64Array ? data : Float64Array.from(data as ArrayLike<number>, Number);
}

/** Whether no element is NaN or infinite. */
export function isFinite(data: Data): boolean {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return true;
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false;
  return true;
}

/** A dtype whose every value the other has, too: what may be converted without a caller's word. */
export function castsSafely(from: DType, to: DType): boolean {
  if (from === to || from === "bool") return true;
  const [a, b] = [KINDS[from], KINDS[to]];
  if (a.float) return b.float && b.bits >= a.bits;
  if (b.float) return b.bits >= (a.bits >= 32 ? 64 : a.bits >= 16 ? 32 : 16);
  if (a.signed) return b.signed && b.bits >= a.bits;
  return b.signed ? b.bits > a.bits : b.bits >= a.bits && to !== "bool";
}

const KINDS: Record<DType, { bits: number; float: boolean; signed: boolean }> = {
  bool: { bits: 1, float: false, signed: false },
  int8: { bits: 8, float: false, signed: true },
  uint8: { bits: 8, float: false, signed: false },
  int16: { bits: 16, float: false, signed: true },
  int32: { bits: 32, float: false, signed: true },
  int64: { bits: 64, float: false, signed: true },
  float16: { bits: 16, float: true, signed: true },
  float32: { bits: 32, float: true, signed: true },
  float64: { bits: 64, float: true, signed: true },
};

/** The tensor in another dtype; the same object where it has it. */
export function cast(value: Tensor, dtype: DType): Tensor {
  if (value.dtype === dtype) return value;
  const data = zeros(dtype, value.data.length);
  for (let i = 0; i < data.length; i++) setAt(data, i, value.data[i] as number | bigint);
  return { dtype, shape: value.shape, data };
}

/** Little-endian elements from a byte on, as golden.bin holds them. */
export function decode(dtype: DType, shape: readonly number[], bytes: Uint8Array, offset: number): Tensor {
  const size = count(shape);
  const copy = bytes.slice(offset, offset + size * BYTES[dtype]); // aligned, and of the shape's size alone
  if (dtype === "float16") {
    return { dtype, shape, data: Float32Array.from(new Uint16Array(copy.buffer), fromHalf) };
  }
  return { dtype, shape, data: new ARRAYS[dtype](copy.buffer) };
}

/** The bits of halves, for an engine that takes them so. */
export function halfBits(data: Float32Array): Uint16Array {
  return Uint16Array.from(data, toHalf);
}

/** Halves of their bits. */
export function ofHalfBits(bits: ArrayLike<number>): Float32Array {
  return Float32Array.from(bits, fromHalf);
}
