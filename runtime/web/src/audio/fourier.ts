/**
 * The squared spectrum of a real frame of even length: halves are split while they are even, odd rests summed as they
 * are.
 */

/** |Σ y[i]·e^(−2πj·i·b/n)|² for 0 ≤ b ≤ n/2. */
export function powers(y: Float64Array): Float64Array {
  const [real, imaginary] = transform(y, 0, 1, y.length);
  return Float64Array.from(
    { length: y.length / 2 + 1 },
    (_, b) => (real[b] as number) ** 2 + (imaginary[b] as number) ** 2,
  );
}

/** The transform of the n numbers y[start], y[start + step], … */
function transform(y: Float64Array, start: number, step: number, n: number): [Float64Array, Float64Array] {
  const [real, imaginary] = [new Float64Array(n), new Float64Array(n)];
  const { cos, sin } = turns(n);
  if (n % 2 === 1) {
    for (let b = 0; b < n; b++) {
      for (let i = 0; i < n; i++) {
        const turn = (i * b) % n;
        real[b] = (real[b] as number) + (y[start + i * step] as number) * (cos[turn] as number);
        imaginary[b] = (imaginary[b] as number) - (y[start + i * step] as number) * (sin[turn] as number);
      }
    }
    return [real, imaginary];
  }
  const half = n / 2;
  const even = transform(y, start, 2 * step, half);
  const odd = transform(y, start + step, 2 * step, half);
  for (let b = 0; b < half; b++) {
    const [c, s] = [cos[b] as number, sin[b] as number];
    const [r, i] = [odd[0][b] as number, odd[1][b] as number];
    const [turnedReal, turnedImaginary] = [r * c + i * s, i * c - r * s];
    real[b] = (even[0][b] as number) + turnedReal;
    imaginary[b] = (even[1][b] as number) + turnedImaginary;
    real[b + half] = (even[0][b] as number) - turnedReal;
    imaginary[b + half] = (even[1][b] as number) - turnedImaginary;
  }
  return [real, imaginary];
}

const KNOWN = new Map<number, { cos: Float64Array; sin: Float64Array }>();

function turns(n: number): { cos: Float64Array; sin: Float64Array } {
  let found = KNOWN.get(n);
  if (found === undefined) {
    const angle = (i: number): number => (2 * Math.PI * i) / n;
    found = {
      cos: Float64Array.from({ length: n }, (_, i) => Math.cos(angle(i))),
      sin: Float64Array.from({ length: n }, (_, i) => Math.sin(angle(i))),
    };
    KNOWN.set(n, found);
  }
  return found;
}
