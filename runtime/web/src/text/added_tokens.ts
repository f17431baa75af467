/**
 * Tokens beside the model's: they are looked for in the text itself, before anything else happens to it, or where
 * `normalized` says so in the normalized text. Of several that begin at one place the longest counts.
 */

import { RuntimeBundleError } from "../errors.js";
import { CharacterSet } from "./character_set.js";
import { toCodePoints } from "./code_points.js";
import type { Model } from "./models/index.js";
import { NormalizedText } from "./normalized_text.js";
import type { Normalizer } from "./normalizers/index.js";
import type { Part } from "./part.js";
import { ROOT, Trie } from "./trie.js";
import { WHITESPACE, WORD } from "./unicode.js";

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly singleWord: boolean; // only where no word character stands beside it
  readonly leftStrip: boolean; // it takes the white space before it
  readonly rightStrip: boolean; // and behind it
  readonly normalized: boolean;
}

/** Called with each part [from, to) of a text in order, and the id of the added token that it is, or -1. */
export type TakePart = (from: number, to: number, token: number) => void;

/** Those that are looked for at one time. */
export class Matcher {
  private readonly trie = new Trie(64);
  private readonly beginnings = new CharacterSet();
  private readonly tokens = new Map<number, AddedToken>();

  /** Throws RuntimeBundleError where two tokens are written alike. */
  add(token: AddedToken, written: Int32Array): void {
    if (written.length === 0) refuse(`added token '${token.content}' is empty when it is normalized`);
    const known = this.trie.walk(written);
    if (known !== -1 && this.trie.value(known) !== -1) {
      refuse(
        `added tokens '${token.content}' and '${this.tokens.get(this.trie.value(known))!.content}' can't be told apart`,
      );
    }
    this.trie.add(written, token.id);
    this.beginnings.add(written[0]!);
    this.tokens.set(token.id, token);
  }

  /** Cuts `characters` at the tokens in them. */
  split(characters: Int32Array, take: TakePart): void {
    const { length } = characters;
    let done = 0;
    let position = 0;
    while (this.tokens.size > 0 && position < length) {
      if (!this.beginnings.has(characters[position]!)) {
        position++;
        continue;
      }
      const end = this.longest(characters, position);
      if (end === -1) {
        position++;
        continue;
      }
      const token = this.tokens.get(this.trie.value(this.trie.walk(characters.subarray(position, end))))!;
      const isTaken = !token.singleWord || standsAlone(characters, position, end);
      if (isTaken) {
        let from = position;
        let to = end;
        if (token.leftStrip) while (from > done && WHITESPACE.has(characters[from - 1]!)) from--;
        if (token.rightStrip) while (to < length && WHITESPACE.has(characters[to]!)) to++;
        if (done < from) take(done, from, -1);
        take(from, to, token.id);
        done = to;
      }
      position = end;
    }
    if (done < length) take(done, length, -1);
  }

  /** Where the longest token ends that begins at `position`; -1 where none does. */
  private longest(characters: Int32Array, position: number): number {
    let node = ROOT;
    let end = -1;
    for (let next = position; next < characters.length; next++) {
      node = this.trie.child(node, characters[next]!);
      if (node === -1) break;
      if (this.trie.value(node) !== -1) end = next + 1;
    }
    return end;
  }
}

function standsAlone(characters: Int32Array, from: number, to: number): boolean {
  const isFree = (position: number): boolean =>
    position < 0 || position >= characters.length || !WORD.has(characters[position]!);
  return isFree(from - 1) && isFree(to);
}

/** Matchers of a tokenizer's added tokens: for the text as it is, and for the normalized one. */
export function readAddedTokens(
  parts: readonly Part[],
  model: Model,
  normalizer: Normalizer | null,
): { readonly plain: Matcher; readonly normalized: Matcher } {
  const tokens = new Map<number, AddedToken>();
  const ids = new Map<string, number>();
  // The file's own ids don't count: that is what `tokenizers` does with them.
  let next = model.size;
  for (const part of parts) {
    const content = part.string("content");
    if (content === "") continue;
    const id = ids.get(content) ?? model.idOf(content) ?? next++;
    ids.set(content, id);
    tokens.set(id, {
      id,
      content,
      singleWord: part.boolean("single_word"),
      leftStrip: part.boolean("lstrip"),
      rightStrip: part.boolean("rstrip"),
      normalized: part.boolean("normalized"),
    });
    part.boolean("special"); // of use to decoders alone
  }
  const matchers = { plain: new Matcher(), normalized: new Matcher() };
  for (const token of tokens.values()) {
    const text = NormalizedText.of(toCodePoints(token.content));
    if (token.normalized) normalizer?.normalize(text);
    (token.normalized ? matchers.normalized : matchers.plain).add(token, text.characters);
  }
  return matchers;
}

function refuse(what: string): never {
  throw new RuntimeBundleError(`tokenizer.json: ${what}`);
}
