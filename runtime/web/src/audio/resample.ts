/** A sound at another rate: one windowed sinc; formulas are FORMAT.md's, "Another rate". */

const ZERO_CROSSINGS = 10;
const KAISER_BETA = 5;

/** float64 [ceil(samples · target / rate)], at most `limit` of them. */
export function resample(x: Float32Array, rate: number, target: number, limit: number | null): Float64Array {
  const common = divisor(rate, target);
  const [up, down] = [target / common, rate / common];
  const half = ZERO_CROSSINGS * Math.max(up, down);
  const h = filter(up, Math.max(up, down), half);
  const length = Math.min(Math.ceil((x.length * up) / down), limit ?? Infinity);
  const y = new Float64Array(length);
  for (let m = 0; m < length; m++) {
    const place = m * down + half; // h's index at x[0]
    const first = Math.max(0, Math.ceil((place - 2 * half) / up));
    const last = Math.min(x.length - 1, Math.floor(place / up));
    let sum = 0;
    for (let k = first; k <= last; k++) sum += (h[place - k * up] as number) * (x[k] as number);
    y[m] = sum;
  }
  return y;
}

function filter(up: number, slower: number, half: number): Float64Array {
  const g = new Float64Array(2 * half + 1);
  let sum = 0;
  for (let i = 0; i < g.length; i++) {
    const t = ((i - half) / slower) * Math.PI;
    const kaiser = bessel(KAISER_BETA * Math.sqrt(1 - ((i - half) / half) ** 2)) / bessel(KAISER_BETA);
    sum += g[i] = (t === 0 ? 1 : Math.sin(t) / t) * kaiser;
  }
  return g.map((value) => (up * value) / sum);
}

/** I0 by its power series, to the last bit that counts. */
function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-18; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
