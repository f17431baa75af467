/** WordLevel: a word is a token. */

import { toText } from "../code_points.js";
import type { Part } from "../part.js";
import type { Vocabulary } from "../vocabulary.js";
import { refuseUnknown, type AddToken, type Model } from "./model.js";

export class WordLevel implements Model {
  private readonly vocabulary: Vocabulary;
  private readonly unknown: string;

  constructor(part: Part) {
    this.vocabulary = part.vocabulary("vocab");
    this.unknown = part.string("unk_token");
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
    const id = this.vocabulary.id(toText(characters, from, to)) ?? this.vocabulary.id(this.unknown);
    add(id ?? refuseUnknown(this.unknown), from, to);
  }
}
