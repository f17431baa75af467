/**
 * SHA-256, by the platform where it gives it. Pages from http:// other than localhost have no `crypto.subtle`, and
 * there the same digest is computed here, about 20 times slower.
 */

const ROUND = new Uint32Array(64);
const START = new Uint32Array(8);

/** Of `bytes`, in hexadecimal. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  const digest = subtle === undefined ? sha256Here(bytes) : await subtle.digest("SHA-256", bytes as BufferSource);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** FIPS 180-4, section 6.2. */
export function sha256Here(bytes: Uint8Array): ArrayBuffer {
  const length = Math.ceil((bytes.length + 9) / 64) * 64;
  const tail = new Uint8Array(length - Math.floor(bytes.length / 64) * 64);
  tail.set(bytes.subarray(bytes.length - (bytes.length % 64)));
  tail[bytes.length % 64] = 0x80;
  const view = new DataView(tail.buffer);
  view.setUint32(tail.length - 8, Math.floor((bytes.length * 8) / 2 ** 32));
  view.setUint32(tail.length - 4, (bytes.length * 8) >>> 0);
  const state = Uint32Array.from(START);
  const whole = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 64 <= bytes.length; at += 64) block(state, whole, at);
  for (let at = 0; at < tail.length; at += 64) block(state, view, at);
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, index) => digest.setUint32(4 * index, word));
  return digest.buffer as ArrayBuffer;
}

const WORDS = new Uint32Array(64);

function block(state: Uint32Array, view: DataView, at: number): void {
  const w = WORDS;
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const [x, y] = [w[i - 15] as number, w[i - 2] as number];
    const low = turned(x, 7) ^ turned(x, 18) ^ (x >>> 3);
    const high = turned(y, 17) ^ turned(y, 19) ^ (y >>> 10);
    w[i] = ((w[i - 16] as number) + low + (w[i - 7] as number) + high) | 0;
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const one =
      h +
      (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) +
      ((e & f) ^ (~e & g)) +
      (ROUND[i] as number) +
      (w[i] as number);
    const two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => (state[index] = (state[index] as number) + word));
}

function turned(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

// The first 32 bits of the fractions of the primes' cube roots, and of the first eight square roots.
for (let prime = 2, found = 0; found < 64; prime++) {
  let divisor = 2;
  while (divisor * divisor <= prime && prime % divisor !== 0) divisor++;
  if (divisor * divisor <= prime) continue;
  if (found < 8) START[found] = fraction(Math.sqrt(prime));
  ROUND[found++] = fraction(Math.cbrt(prime));
}

function fraction(root: number): number {
  return Math.floor((root % 1) * 2 ** 32);
}
