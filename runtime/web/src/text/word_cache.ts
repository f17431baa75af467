/**
 * Results of words that were met before: texts repeat them. One slot a hash; a newer word takes an older one's place.
 */

const SLOTS = 1 << 14;
const LONGEST_WORD = 64; // characters

export class WordCache<T> {
  private readonly words: Int32Array[] = Array<Int32Array>(SLOTS).fill(new Int32Array(0));
  private readonly results: T[] = [];

  /** The result for characters[from … to-1], computed where it isn't known. */
  get(characters: Int32Array, from: number, to: number, compute: () => T): T {
    if (to - from > LONGEST_WORD) return compute();
    let hash = 0;
    for (let position = from; position < to; position++) hash = Math.imul(hash ^ characters[position]!, 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const word = this.words[slot]!;
    let isKnown = word.length === to - from;
    for (let index = 0; isKnown && index < word.length; index++) isKnown = word[index] === characters[from + index];
    if (isKnown && this.results[slot] !== undefined) return this.results[slot]!;
    const result = compute();
    this.words[slot] = characters.slice(from, to);
    this.results[slot] = result;
    return result;
  }
}
