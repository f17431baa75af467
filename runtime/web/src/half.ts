/** 16-bit floats: no array type of every browser in use holds them. */

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** The value of a half's 16 bits. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The bits of the nearest half; ties go to the even one. */
export function toHalf(value: number): number {
  FLOAT[0] = value;
  const sign = ((BITS[0] as number) >>> 16) & 0x8000;
  if (Number.isNaN(value)) return 0x7e00;
  const size = Math.abs(FLOAT[0] as number);
  if (size >= 65520) return sign | 0x7c00;
  const step = size < 2 ** -14 ? 2 ** -24 : 2 ** (Math.floor(Math.log2(size)) - 10);
  const units = evenly(size / step);
  if (size < 2 ** -14) return sign | units; // 1024 units carry over into the first normal number
  return sign | ((Math.round(Math.log2(step)) + 25) * 1024 + units - 1024);
}

function evenly(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
