/** Results of words that were met before: texts repeat them. */

const MOST_WORDS = 10_000;
const LONGEST_WORD = 64; // characters

export class WordCache<T> {
  private readonly results = new Map<string, T>();

  /** The result for characters[from … to-1], computed where it isn't known yet. */
  get(characters: Int32Array, from: number, to: number, compute: () => T): T {
    if (to - from > LONGEST_WORD) return compute();
    let word = "";
    for (let position = from; position < to; position++) word += String.fromCodePoint(characters[position]!);
    let result = this.results.get(word);
    if (result === undefined) {
      result = compute();
      if (this.results.size < MOST_WORDS) this.results.set(word, result);
    }
    return result;
  }
}
