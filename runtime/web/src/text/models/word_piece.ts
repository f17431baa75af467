/** WordPiece: from the left the longest token that the word goes on with; a word that has none at some place is unknown. */

import { toCodePoints } from "../code_points.js";
import type { Part } from "../part.js";
import { ROOT, Trie } from "../trie.js";
import { WordCache } from "../word_cache.js";
import { byId, refuseUnknown, type AddToken, type Model } from "./model.js";

/** Ids, and where each token ends, counted from the word's beginning; null where the word is unknown. */
interface Tokens {
  readonly ids: readonly number[];
  readonly ends: readonly number[];
}

export class WordPiece implements Model {
  private readonly vocabulary: ReadonlyMap<string, number>;
  private readonly texts: ReadonlyMap<number, string>;
  private readonly trie: Trie;
  private readonly unknown: string;
  private readonly inside: number; // the node behind the prefix of tokens that begin no word; -1: there are none
  private readonly longest: number; // characters; a longer word is unknown
  private readonly cache = new WordCache<Tokens | null>();

  constructor(part: Part) {
    this.vocabulary = part.vocabulary("vocab");
    this.texts = byId(this.vocabulary);
    this.unknown = part.string("unk_token");
    this.longest = part.integer("max_input_chars_per_word");
    this.trie = new Trie(this.vocabulary.size * 3);
    for (const [token, id] of this.vocabulary) this.trie.add(toCodePoints(token), id);
    this.inside = this.trie.walk(toCodePoints(part.string("continuing_subword_prefix")));
  }

  get size(): number {
    return this.vocabulary.size;
  }

  idOf(token: string): number | undefined {
    return this.vocabulary.get(token);
  }

  textOf(id: number): string | undefined {
    return this.texts.get(id);
  }

  tokenize(characters: Int32Array, from: number, to: number, add: AddToken): void {
    const known = to - from <= this.longest;
    const tokens = known ? this.cache.get(characters, from, to, () => this.split(characters, from, to)) : null;
    if (tokens === null) {
      add(this.vocabulary.get(this.unknown) ?? refuseUnknown(this.unknown), from, to);
      return;
    }
    let start = from;
    tokens.ids.forEach((id, index) => {
      const end = from + tokens.ends[index]!;
      add(id, start, end);
      start = end;
    });
  }

  private split(characters: Int32Array, from: number, to: number): Tokens | null {
    const ids: number[] = [];
    const ends: number[] = [];
    let start = from;
    while (start < to) {
      let node = start === from ? ROOT : this.inside;
      let id = -1;
      let end = start;
      for (let position = start; position < to && node !== -1; position++) {
        node = this.trie.child(node, characters[position]!);
        if (node === -1 || this.trie.value(node) === -1) continue;
        id = this.trie.value(node);
        end = position + 1;
      }
      if (id === -1) return null;
      ids.push(id);
      ends.push(end - from);
      start = end;
    }
    return { ids, ends };
  }
}
