/**
 * WordPiece: from the left the longest token that the word goes on with; a word that has none at some place is unknown.
 */

import { toCodePoints } from "../code_points.js";
import { IntList } from "../int_list.js";
import type { Part } from "../part.js";
import { ROOT, Trie } from "../trie.js";
import type { Vocabulary } from "../vocabulary.js";
import { refuseUnknown, type AddToken, type Model } from "./model.js";

export class WordPiece implements Model {
  private readonly vocabulary: Vocabulary;
  private readonly trie: Trie;
  private readonly unknown: string;
  private readonly inside: number; // the node behind the prefix of tokens that begin no word; -1: there are none
  private readonly longest: number; // characters; a longer word is unknown
  private readonly ids = new IntList(); // the tokens of the word at hand,
  private readonly ends = new IntList(); // and where each ends

  constructor(part: Part) {
    this.vocabulary = part.vocabulary("vocab");
    this.unknown = part.string("unk_token");
    this.longest = part.integer("max_input_chars_per_word");
    this.trie = new Trie(this.vocabulary.size * 3);
    this.vocabulary.forEach((token, id) => this.trie.add(toCodePoints(token), id));
    this.inside = this.trie.walk(toCodePoints(part.string("continuing_subword_prefix")));
  }

  get size(): number {
    return this.vocabulary.size;
  }

  idOf(token: string): number | undefined {
    return this.vocabulary.id(token);
  }

  textOf(id: number): string | undefined {
    return this.vocabulary.text(id);
  }

  tokenize(characters: Int32Array, from: number, to: number, add: AddToken): void {
    if (to - from > this.longest || !this.split(characters, from, to)) {
      add(this.vocabulary.id(this.unknown) ?? refuseUnknown(this.unknown), from, to);
      return;
    }
    let start = from;
    for (let index = 0; index < this.ids.length; index++) {
      add(this.ids.get(index), start, this.ends.get(index));
      start = this.ends.get(index);
    }
  }

  /** Fills `ids` and `ends`; false where the word is unknown. */
  private split(characters: Int32Array, from: number, to: number): boolean {
    this.ids.length = 0;
    this.ends.length = 0;
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
      if (id === -1) return false;
      this.ids.push(id);
      this.ends.push(end);
      start = end;
    }
    return true;
  }
}
