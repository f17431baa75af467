/** Tokens of a text with what is known of each: lists of one length. */

export interface Tokens {
  ids: number[];
  types: number[];
  /** Code points of the text. */
  starts: number[];
  ends: number[];
  /** null: the token stands for no word, since a post-processor put it there. */
  words: (number | null)[];
  /** The tokens as the vocabulary writes them; empty where no post-processor reads them. */
  texts: string[];
  /** Which text (0 or 1) → its tokens [from, to). */
  ranges: Map<number, readonly [number, number]>;
}

/** Tokens that a post-processor adds: they stand for no text. */
export function specialTokens(ids: readonly number[], texts: readonly string[], type: number): Tokens {
  const zeros = ids.map(() => 0);
  return {
    ids: [...ids],
    types: ids.map(() => type),
    starts: zeros,
    ends: [...zeros],
    words: ids.map(() => null),
    texts: [...texts],
    ranges: new Map(),
  };
}

/** All of them, one after the other. */
export function joined(parts: readonly Tokens[]): Tokens {
  const result: Tokens = { ...specialTokens([], [], 0) };
  for (const part of parts) {
    const before = result.ids.length;
    result.ids = result.ids.concat(part.ids);
    result.types = result.types.concat(part.types);
    result.starts = result.starts.concat(part.starts);
    result.ends = result.ends.concat(part.ends);
    result.words = result.words.concat(part.words);
    result.texts = result.texts.concat(part.texts);
    for (const [text, [from, to]] of part.ranges) result.ranges.set(text, [before + from, before + to]);
  }
  return result;
}

/** For each token the text that it is of; null for those that were added. */
export function textOfEach(tokens: Tokens): (number | null)[] {
  const { length } = tokens.ids;
  const texts: (number | null)[] = Array(length).fill(null);
  const count = Math.max(tokens.ranges.size, 1);
  for (let text = 0; text < count; text++) {
    const [from, to] = tokens.ranges.get(text) ?? [0, length];
    texts.fill(text, from, to);
  }
  return texts;
}
