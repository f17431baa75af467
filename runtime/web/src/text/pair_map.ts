/** A map from two integers ≥ 0 to one: a hash table with open addressing. */

export class PairMap {
  private first: Int32Array;
  private second: Int32Array;
  private values: Int32Array;
  private size = 0;

  /** `expected`: about how many pairs there will be. */
  constructor(expected: number) {
    let capacity = 16;
    while (capacity < expected * 2) capacity *= 2;
    this.first = new Int32Array(capacity).fill(-1);
    this.second = new Int32Array(capacity);
    this.values = new Int32Array(capacity);
  }

  /** The value, or -1. */
  get(first: number, second: number): number {
    const slot = this.slot(first, second);
    return this.first[slot] === -1 ? -1 : this.values[slot]!;
  }

  set(first: number, second: number, value: number): void {
    if (this.size * 2 >= this.first.length) this.grow();
    const slot = this.slot(first, second);
    if (this.first[slot] === -1) this.size++;
    this.first[slot] = first;
    this.second[slot] = second;
    this.values[slot] = value;
  }

  private slot(first: number, second: number): number {
    const mask = this.first.length - 1;
    let hash = Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b);
    hash ^= hash >>> 15;
    let slot = hash & mask;
    while (this.first[slot] !== -1 && (this.first[slot] !== first || this.second[slot] !== second))
      slot = (slot + 1) & mask;
    return slot;
  }

  private grow(): void {
    const { first, second, values } = this;
    this.first = new Int32Array(first.length * 2).fill(-1);
    this.second = new Int32Array(first.length * 2);
    this.values = new Int32Array(first.length * 2);
    this.size = 0;
    for (let slot = 0; slot < first.length; slot++) {
      if (first[slot] !== -1) this.set(first[slot]!, second[slot]!, values[slot]!);
    }
  }
}
