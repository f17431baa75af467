/** WordLevel: a word is a token. */

import { toText } from "../code_points.js";
import type { Part } from "../part.js";
import { byId, refuseUnknown, type AddToken, type Model } from "./model.js";

export class WordLevel implements Model {
  private readonly vocabulary: ReadonlyMap<string, number>;
  private readonly texts: ReadonlyMap<number, string>;
  private readonly unknown: string;

  constructor(part: Part) {
    this.vocabulary = part.vocabulary("vocab");
    this.texts = byId(this.vocabulary);
    this.unknown = part.string("unk_token");
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
    const id = this.vocabulary.get(toText(characters, from, to)) ?? this.vocabulary.get(this.unknown);
    add(id ?? refuseUnknown(this.unknown), from, to);
  }
}
