/**
 * A text on its way through the normalizers: its characters now, and the place in the original that each came from.
 *
 * Places are code points, [starts[i], ends[i]) of the whole original text, also where this is a part of it.
 */

import type { IntList } from "./int_list.js";

export class NormalizedText {
  constructor(
    public characters: Int32Array,
    public starts: Int32Array,
    public ends: Int32Array,
  ) {}

  /** `characters`, unchanged, from `position` in the original on. */
  static of(characters: Int32Array, position = 0): NormalizedText {
    const starts = new Int32Array(characters.length);
    const ends = new Int32Array(characters.length);
    for (let index = 0; index < characters.length; index++) {
      starts[index] = position + index;
      ends[index] = position + index + 1;
    }
    return new NormalizedText(characters, starts, ends);
  }

  get length(): number {
    return this.characters.length;
  }

  /** Replaces everything: character i now comes from the old character origins[i]. */
  replace(characters: IntList, origins: IntList): void {
    const starts = new Int32Array(characters.length);
    const ends = new Int32Array(characters.length);
    for (let index = 0; index < characters.length; index++) {
      starts[index] = this.starts[origins.get(index)]!;
      ends[index] = this.ends[origins.get(index)]!;
    }
    this.characters = characters.toArray();
    this.starts = starts;
    this.ends = ends;
  }

  /** Keeps the characters for which `keep` is true. */
  filter(keep: (character: number) => boolean): void {
    let kept = 0;
    const { characters, starts, ends } = this;
    for (let index = 0; index < characters.length; index++) if (keep(characters[index]!)) kept++;
    if (kept === characters.length) return;
    const next = new NormalizedText(new Int32Array(kept), new Int32Array(kept), new Int32Array(kept));
    let to = 0;
    for (let index = 0; index < characters.length; index++) {
      if (!keep(characters[index]!)) continue;
      next.characters[to] = characters[index]!;
      next.starts[to] = starts[index]!;
      next.ends[to++] = ends[index]!;
    }
    this.characters = next.characters;
    this.starts = next.starts;
    this.ends = next.ends;
  }

  /** Keeps the characters from `from` to `to` - 1. */
  cut(from: number, to: number): void {
    this.characters = this.characters.subarray(from, to);
    this.starts = this.starts.subarray(from, to);
    this.ends = this.ends.subarray(from, to);
  }

  /**
   * Replaces everything, the origins told by changes as `tokenizers` counts them: 1, a further character of the one
   * before; 0, it stands for the next old one; -n, for the next old one, and n more that fall away.
   */
  change(characters: IntList, changes: IntList, origins: IntList): void {
    const last = this.length - 1;
    let next = 0;
    for (let index = 0; index < characters.length; index++) {
      const change = changes.get(index);
      origins.push(change > 0 ? Math.max(next - 1, 0) : Math.min(next, last));
      if (change <= 0) next += 1 - change;
    }
    this.replace(characters, origins);
  }
}
