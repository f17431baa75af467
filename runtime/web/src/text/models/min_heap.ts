/** A heap that gives the smallest of its integers first (up to 2^53: a Long elsewhere). */

export class MinHeap {
  private items = new Float64Array(64);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  push(value: number): void {
    if (this.length === this.items.length) {
      const items = new Float64Array(this.length * 2);
      items.set(this.items);
      this.items = items;
    }
    const { items } = this;
    let place = this.length++;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (items[parent]! <= value) break;
      items[place] = items[parent]!;
      place = parent;
    }
    items[place] = value;
  }

  /** Takes the smallest; there must be one. */
  pop(): number {
    const { items } = this;
    const smallest = items[0]!;
    const moved = items[--this.length]!;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= this.length) break;
      if (child + 1 < this.length && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= moved) break;
      items[place] = items[child]!;
      place = child;
    }
    items[place] = moved;
    return smallest;
  }
}
