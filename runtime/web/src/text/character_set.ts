/** A set of Unicode code points as a bit map: 136 KB, one look-up a test. */

export const CODE_POINTS = 0x110000;

export class CharacterSet {
  private readonly bits = new Int32Array(CODE_POINTS / 32);

  has(character: number): boolean {
    return (this.bits[character >> 5]! & (1 << (character & 31))) !== 0;
  }

  /** Whether it has one of the code points from `first` on, a multiple of 32. */
  hasAny(first: number): boolean {
    return this.bits.subarray(first / 32).some(Boolean);
  }

  add(character: number): void {
    this.bits[character >> 5]! |= 1 << (character & 31);
  }

  /** Adds it, or takes it away. */
  toggle(character: number): void {
    this.bits[character >> 5]! ^= 1 << (character & 31);
  }

  /** Adds `first` to `last`, both included. */
  addRange(first: number, last: number): void {
    for (let character = first; character <= last; character++) this.add(character);
  }

  addAll(other: CharacterSet): void {
    for (let index = 0; index < this.bits.length; index++) this.bits[index]! |= other.bits[index]!;
  }

  /** The set of all others. */
  inverted(): CharacterSet {
    const result = new CharacterSet();
    for (let index = 0; index < this.bits.length; index++) result.bits[index] = ~this.bits[index]!;
    return result;
  }
}
