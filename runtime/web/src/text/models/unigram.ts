/** Unigram: of all ways to write a word as tokens, the one with the largest sum of scores. */

import { toCodePoints, utf8Bytes } from "../code_points.js";
import type { Part } from "../part.js";
import { ROOT, Trie } from "../trie.js";
import { WordCache } from "../word_cache.js";
import { refuseUnknown, type AddToken, type Model } from "./model.js";
import { scoreOf } from "./score.js";

const UNKNOWN_PENALTY = 10;

/** Ids, and where each token begins and ends, counted from the word's beginning. */
interface Tokens {
  readonly ids: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export class Unigram implements Model {
  private readonly tokens: readonly string[];
  private readonly scores: Float64Array;
  private readonly ids = new Map<string, number>();
  private readonly trie: Trie;
  private readonly unknown: number | null;
  private readonly unknownScore: number;
  private readonly idOfByte: readonly (number | undefined)[] | null;
  private readonly cache = new WordCache<Tokens>();

  constructor(part: Part) {
    const entries = part.list("vocab").map((entry) => {
      const isPair =
        Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "string" && typeof entry[1] === "number";
      return isPair ? (entry as [string, number]) : part.wrong("vocab", "pairs of a token and its score", entry);
    });
    this.tokens = entries.map(([token]) => token);
    this.scores = Float64Array.from(entries, ([, score]) => scoreOf(score));
    this.unknown = part.has("unk_id") ? part.integer("unk_id") : null;
    if (this.unknown !== null && this.unknown >= this.size)
      part.wrong("unk_id", `an id below ${this.size}`, this.unknown);
    this.unknownScore = this.scores.reduce((lowest, score) => Math.min(lowest, score), Infinity) - UNKNOWN_PENALTY;
    this.trie = new Trie(this.size * 3);
    this.tokens.forEach((token, id) => {
      this.ids.set(token, id);
      if (token !== "") this.trie.add(toCodePoints(token), id);
    });
    const hasFallback = part.has("byte_fallback") && part.boolean("byte_fallback");
    this.idOfByte = hasFallback
      ? Array.from({ length: 256 }, (_, byte) =>
          this.ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
        )
      : null;
  }

  get size(): number {
    return this.tokens.length;
  }

  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  textOf(id: number): string | undefined {
    return id === this.unknown ? undefined : this.tokens[id];
  }

  tokenize(characters: Int32Array, from: number, to: number, add: AddToken): void {
    const { ids, starts, ends } = this.cache.get(characters, from, to, () => this.split(characters, from, to));
    for (let index = 0; index < ids.length; index++) add(ids[index]!, from + starts[index]!, from + ends[index]!);
  }

  private split(characters: Int32Array, from: number, to: number): Tokens {
    const [lastIds, lastStarts] = this.bestPath(characters, from, to);
    const ids: number[] = [];
    const starts: number[] = [];
    const ends: number[] = [];
    let end = to - from;
    while (end > 0) {
      let start = lastStarts[end]!;
      const id = lastIds[end]!;
      if (id === this.unknown) while (start > 0 && lastIds[start] === id) start = lastStarts[start]!;
      // From the end, so the bytes of a fallback too.
      for (const found of this.resolved(id, characters, from + start, from + end).reverse()) {
        ids.push(found);
        starts.push(start);
        ends.push(end);
      }
      end = start;
    }
    return { ids: ids.reverse(), starts: starts.reverse(), ends: ends.reverse() };
  }

  /** For each place, the last token of the best way to it, and where that begins. */
  private bestPath(characters: Int32Array, from: number, to: number): readonly [Int32Array, Int32Array] {
    const length = to - from;
    const best = new Float64Array(length + 1);
    const ids = new Int32Array(length + 1);
    const starts = new Int32Array(length + 1).fill(-1);
    const offer = (start: number, end: number, id: number | null, score: number): void => {
      if (starts[end] !== -1 && score <= best[end]!) return;
      best[end] = score;
      starts[end] = start;
      ids[end] = id ?? refuseUnknown(null);
    };
    for (let start = 0; start < length; start++) {
      let node = ROOT;
      let hasOne = false;
      for (let end = start; end < length; end++) {
        node = this.trie.child(node, characters[from + end]!);
        if (node === -1) break;
        const id = this.trie.value(node);
        if (id === -1) continue;
        offer(start, end + 1, id, this.scores[id]! + best[start]!);
        if (end === start) hasOne = true;
      }
      if (!hasOne) offer(start, start + 1, this.unknown, this.unknownScore + best[start]!);
    }
    return [ids, starts];
  }

  /** The ids of one token; of neighbouring unknown characters: a token that they make together, their bytes, or one. */
  private resolved(id: number, characters: Int32Array, from: number, to: number): number[] {
    if (id !== this.unknown) return [id];
    const node = this.trie.walk(characters.subarray(from, to));
    if (node !== -1 && this.trie.value(node) !== -1) return [this.trie.value(node)];
    if (this.idOfByte !== null) {
      const bytes: (number | undefined)[] = [];
      for (let position = from; position < to; position++) {
        utf8Bytes(characters[position]!, (byte) => bytes.push(this.idOfByte![byte]));
      }
      if (bytes.every((byte) => byte !== undefined)) return bytes as number[];
    }
    return [id];
  }
}
