/** A list of 32-bit integers that grows. */

export class IntList {
  private items: Int32Array;
  length = 0;

  constructor(capacity = 16) {
    this.items = new Int32Array(Math.max(Math.floor(capacity), 16));
  }

  push(value: number): void {
    if (this.length === this.items.length) this.reserve(this.length * 2);
    this.items[this.length++] = value;
  }

  /** Appends values[from … to-1]. */
  append(values: Int32Array, from: number, to: number): void {
    if (this.length + to - from > this.items.length)
      this.reserve(Math.max(this.length + to - from, this.items.length * 2));
    this.items.set(values.subarray(from, to), this.length);
    this.length += to - from;
  }

  get(index: number): number {
    return this.items[index]!;
  }

  set(index: number, value: number): void {
    this.items[index] = value;
  }

  /** The list's own memory, not a copy. */
  toArray(): Int32Array {
    return this.items.subarray(0, this.length);
  }

  private reserve(capacity: number): void {
    const items = new Int32Array(capacity);
    items.set(this.items.subarray(0, this.length));
    this.items = items;
  }
}
