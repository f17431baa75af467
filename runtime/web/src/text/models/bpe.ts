/**
 * BPE: a word begins as its characters; of the pairs of neighbours that may merge the one of the lowest rank does, from
 * the left, until none may. A heap and a linked list make that n·log n.
 */

import { toText, utf8Bytes, utf8Length } from "../code_points.js";
import type { Part } from "../part.js";
import type { Vocabulary } from "../vocabulary.js";
import { WordCache } from "../word_cache.js";
import { readMerges, type Merges } from "./merges.js";
import { MinHeap } from "./min_heap.js";
import { refuseUnknown, type AddToken, type Model } from "./model.js";

const METASPACE = 0x2581; // what sentencepiece writes for the space before a word
const MOST_SYMBOLS = 2 ** 26; // so that rank and place fit one number

/** The symbols of a word, linked: lengths are bytes in UTF-8, 0 where one is merged into another. */
interface Symbols {
  readonly ids: Int32Array;
  readonly bytes: Int32Array;
  count: number;
}

export class Bpe implements Model {
  private readonly vocabulary: Vocabulary;
  private readonly merges: Merges;
  private readonly idOfCharacter = new Map<number, number>(); // of tokens of one character
  private readonly idOfByte: readonly (number | undefined)[];
  private readonly prefix: string; // of what begins no word
  private readonly suffix: string; // of what ends a word
  private readonly unknown: string | null;
  private readonly fuseUnknown: boolean;
  private readonly byteFallback: boolean;
  private readonly ignoreMerges: boolean;
  // No merge goes across the beginning of a word, so each can be merged by itself.
  private readonly splitsWords: boolean;
  private readonly heap = new MinHeap();
  private readonly cache = new WordCache<Symbols>();

  constructor(part: Part) {
    this.vocabulary = part.vocabulary("vocab");
    this.prefix = part.has("continuing_subword_prefix") ? part.string("continuing_subword_prefix") : "";
    this.suffix = part.has("end_of_word_suffix") ? part.string("end_of_word_suffix") : "";
    this.unknown = part.has("unk_token") ? part.string("unk_token") : null;
    this.fuseUnknown = part.has("fuse_unk") && part.boolean("fuse_unk");
    this.byteFallback = part.has("byte_fallback") && part.boolean("byte_fallback");
    this.ignoreMerges = part.has("ignore_merges") && part.boolean("ignore_merges");
    if (part.has("dropout") && part.value("dropout") !== 0) part.unsupported("dropout makes tokens random");
    if (this.byteFallback && this.prefix + this.suffix !== "") {
      part.unsupported("byte_fallback together with continuing_subword_prefix or end_of_word_suffix");
    }
    this.merges = readMerges(part, this.vocabulary, this.prefix);
    this.vocabulary.forEach((token, id) => {
      if (token.length > 2 || token === "") return;
      const character = token.codePointAt(0)!;
      if (token === String.fromCodePoint(character)) this.idOfCharacter.set(character, id);
    });
    this.splitsWords =
      this.unknown !== null &&
      !this.ignoreMerges &&
      this.prefix + this.suffix === "" &&
      this.idOfCharacter.has(METASPACE) &&
      !this.merges.crossMetaspace;
    this.idOfByte = Array.from({ length: 256 }, (_, byte) =>
      this.vocabulary.id(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
    );
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
    let start = from;
    for (let position = from + 1; this.splitsWords && position < to; position++) {
      if (characters[position] !== METASPACE || characters[position - 1] === METASPACE) continue;
      this.tokenizeWord(characters, start, position, add);
      start = position;
    }
    this.tokenizeWord(characters, start, to, add);
  }

  private tokenizeWord(characters: Int32Array, from: number, to: number, add: AddToken): void {
    const symbols = this.cache.get(characters, from, to, () => this.split(characters, from, to));
    // Symbols count in bytes, since a byte can be one; a token's characters are those that its bytes lie in.
    let start = from;
    let startByte = 0; // of the character at `start`
    let byte = 0;
    for (let index = 0; index < symbols.count; index++) {
      while (start < to - 1 && startByte + utf8Length(characters[start]!) <= byte)
        startByte += utf8Length(characters[start++]!);
      byte += symbols.bytes[index]!;
      let end = start;
      let endByte = startByte;
      while (end < to && endByte < byte) endByte += utf8Length(characters[end++]!);
      add(symbols.ids[index]!, start, end);
      if (endByte === byte && end < to) {
        start = end;
        startByte = endByte;
      }
    }
  }

  private split(characters: Int32Array, from: number, to: number): Symbols {
    if (this.ignoreMerges) {
      const id = this.vocabulary.id(toText(characters, from, to));
      let bytes = 0;
      for (let position = from; position < to; position++) bytes += utf8Length(characters[position]!);
      if (id !== undefined) return { ids: Int32Array.of(id), bytes: Int32Array.of(bytes), count: 1 };
    }
    const symbols = this.symbols(characters, from, to);
    if (symbols.count >= MOST_SYMBOLS) throw new RangeError(`text: a word of more than ${MOST_SYMBOLS} bytes`);
    this.merge(symbols);
    const { ids, bytes, count } = symbols;
    return { ids: ids.slice(0, count), bytes: bytes.slice(0, count), count };
  }

  /** The symbols that a word begins as. */
  private symbols(characters: Int32Array, from: number, to: number): Symbols {
    const capacity = this.byteFallback ? 4 * (to - from) : to - from;
    const symbols: Symbols = { ids: new Int32Array(capacity), bytes: new Int32Array(capacity), count: 0 };
    const push = (id: number, bytes: number): void => {
      symbols.ids[symbols.count] = id;
      symbols.bytes[symbols.count++] = bytes;
    };
    let unknownBytes = 0; // of the unknown characters just before, not pushed yet
    const pushUnknown = (): void => {
      if (unknownBytes > 0) push(this.unknownId(), unknownBytes);
      unknownBytes = 0;
    };
    for (let position = from; position < to; position++) {
      const character = characters[position]!;
      const id = this.characterId(character, position === from, position === to - 1);
      if (id !== undefined) {
        pushUnknown();
        push(id, utf8Length(character));
      } else if (this.byteFallback && this.hasBytes(character)) {
        // As in `tokenizers`, unknown characters that wait come behind these bytes.
        utf8Bytes(character, (byte) => push(this.idOfByte[byte]!, 1));
      } else if (this.unknown !== null) {
        if (!this.fuseUnknown) pushUnknown();
        unknownBytes += utf8Length(character);
        this.unknownId();
      }
    }
    pushUnknown();
    return symbols;
  }

  private characterId(character: number, isFirst: boolean, isLast: boolean): number | undefined {
    const before = isFirst ? "" : this.prefix;
    const behind = isLast ? this.suffix : "";
    if (before === "" && behind === "") return this.idOfCharacter.get(character);
    return this.vocabulary.id(before + String.fromCodePoint(character) + behind);
  }

  private hasBytes(character: number): boolean {
    let hasAll = true;
    utf8Bytes(character, (byte) => {
      if (this.idOfByte[byte] === undefined) hasAll = false;
    });
    return hasAll;
  }

  private unknownId(): number {
    return this.vocabulary.id(this.unknown!) ?? refuseUnknown(this.unknown);
  }

  private merge(symbols: Symbols): void {
    const { ids, bytes, count } = symbols;
    const previous = new Int32Array(count);
    const next = new Int32Array(count);
    const { heap, merges } = this;
    heap.clear();
    const offer = (place: number, right: number): void => {
      const rank = merges.ranks.get(ids[place]!, ids[right]!);
      if (rank !== -1) heap.push(rank * MOST_SYMBOLS + place);
    };
    for (let place = 0; place < count; place++) {
      previous[place] = place - 1;
      next[place] = place + 1 < count ? place + 1 : -1;
      if (place + 1 < count) offer(place, place + 1);
    }
    while (heap.length > 0) {
      const top = heap.pop();
      const rank = Math.floor(top / MOST_SYMBOLS);
      const place = top - rank * MOST_SYMBOLS;
      const right = next[place]!;
      if (bytes[place] === 0 || right === -1) continue;
      // An entry of the heap may be out of date: others merged meanwhile.
      const nowRank = merges.ranks.get(ids[place]!, ids[right]!);
      const merged = merges.results[rank]!;
      if (nowRank === -1 || merges.results[nowRank] !== merged) continue;
      ids[place] = merged;
      bytes[place]! += bytes[right]!;
      bytes[right] = 0;
      next[place] = next[right]!;
      if (next[right] !== -1) previous[next[right]!] = place;
      if (previous[place] !== -1) offer(previous[place]!, place);
      if (next[place] !== -1) offer(place, next[place]!);
    }
    let kept = 0;
    for (let place = 0; place < count; place++) {
      if (bytes[place] === 0) continue;
      ids[kept] = ids[place]!;
      bytes[kept++] = bytes[place]!;
    }
    symbols.count = kept;
  }
}
