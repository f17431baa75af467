/**
 * Precompiled: the rules of a sentencepiece model, a double-array trie from bytes to replacements.
 *
 * The charsmap is the size of the trie in bytes, little-endian; the trie's units of 32 bits; the replacements, each
 * ended by a zero byte.
 */

import { toCodePoints, utf8Bytes, utf8Length } from "../code_points.js";
import { IntList } from "../int_list.js";
import type { NormalizedText } from "../normalized_text.js";
import type { Part } from "../part.js";
import { GRAPHEME_CONTROL, GRAPHEME_EXTEND, GRAPHEME_PREPEND } from "../unicode.js";
import { decodeBase64 } from "./base64.js";
import type { Normalizer } from "./normalizer.js";

const LONGEST_CLUSTER = 5; // bytes; a longer one is looked up character by character

export class Precompiled implements Normalizer {
  private readonly units: Int32Array;
  private readonly replacements: ReadonlyMap<number, Int32Array>;

  constructor(part: Part) {
    const text = part.string("precompiled_charsmap");
    const bytes = decodeBase64(text) ?? part.wrong("precompiled_charsmap", "base64", text);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.length < 4 ? Infinity : view.getUint32(0, true);
    if (size < 4 || size + 4 > bytes.length) part.wrong("precompiled_charsmap", "a trie and replacements", text);
    const count = Math.floor(size / 4);
    this.units = new Int32Array(count);
    for (let index = 0; index < count; index++) this.units[index] = view.getInt32(4 + 4 * index, true);
    const replacements = readReplacements(bytes.subarray(4 + 4 * count), this.units);
    this.replacements = replacements ?? part.wrong("precompiled_charsmap", "replacements in UTF-8", text);
  }

  normalize(text: NormalizedText): void {
    const characters = new IntList(text.length);
    const changes = new IntList(text.length);
    let isModified = false;
    const replace = (from: number, to: number): boolean => {
      const replacement = this.find(text.characters, from, to);
      if (replacement === null) return false;
      isModified = true;
      writeReplacement(characters, changes, replacement, to - from);
      return true;
    };
    let from = 0;
    while (from < text.length) {
      const to = clusterEnd(text.characters, from);
      if (to - from === 1 || clusterBytes(text.characters, from, to) > LONGEST_CLUSTER || !replace(from, to)) {
        for (let index = from; index < to; index++) {
          if (replace(index, index + 1)) continue;
          characters.push(text.characters[index]!);
          changes.push(0);
        }
      }
      from = to;
    }
    if (isModified) text.change(characters, changes, new IntList(characters.length));
  }

  /** The replacement of the shortest key that characters[from … to-1] begin with; null where there is none. */
  private find(characters: Int32Array, from: number, to: number): Int32Array | null {
    let node = offset(this.units[0]!);
    let found: Int32Array | null = null;
    let isOver = false;
    const step = (byte: number): void => {
      if (isOver) return;
      node ^= byte;
      const unit = node < this.units.length ? this.units[node]! : 0;
      if (byte === 0 || (unit & ~0x7fffff00) !== byte) {
        isOver = true;
        return;
      }
      node ^= offset(unit);
      if (((unit >>> 8) & 1) === 1) {
        found = this.replacements.get(node) ?? null;
        isOver = true;
      }
    };
    for (let index = from; index < to && !isOver; index++) utf8Bytes(characters[index]!, step);
    return found;
  }
}

/** Where the children of a unit's node stand, relative to it. */
function offset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** The replacements by the place of their value in the trie; null where they are no UTF-8. */
function readReplacements(bytes: Uint8Array, units: Int32Array): Map<number, Int32Array> | null {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const read = new Map<number, Int32Array>(); // by their place in `bytes`
  const found = new Map<number, Int32Array>();
  try {
    for (let node = 0; node < units.length; node++) {
      const unit = units[node]!;
      if (((unit >>> 8) & 1) === 0) continue;
      const leaf = node ^ offset(unit);
      if (leaf >= units.length) continue;
      const start = units[leaf]! & 0x7fffffff;
      if (start >= bytes.length) continue;
      let replacement = read.get(start);
      if (replacement === undefined) {
        let end = start;
        while (end < bytes.length && bytes[end] !== 0) end++;
        replacement = toCodePoints(decoder.decode(bytes.subarray(start, end)));
        read.set(start, replacement);
      }
      found.set(leaf, replacement);
    }
  } catch {
    return null;
  }
  return found;
}

/**
 * Writes `replacement` instead of `count` characters. Where it is shorter, what falls away is told to the character
 * before it, and at the very beginning to none: so `tokenizers` does, and offsets move by that.
 */
function writeReplacement(characters: IntList, changes: IntList, replacement: Int32Array, count: number): void {
  replacement.forEach((character, index) => {
    characters.push(character);
    changes.push(index < count ? 0 : 1);
  });
  const missing = count - replacement.length;
  const last = changes.length - 1;
  if (missing > 0 && last >= 0) changes.set(last, changes.get(last) - missing);
}

function clusterBytes(characters: Int32Array, from: number, to: number): number {
  let bytes = 0;
  for (let index = from; index < to && bytes <= LONGEST_CLUSTER; index++) bytes += utf8Length(characters[index]!);
  return bytes;
}

/** The end of the grapheme cluster at `from`. Right wherever clusters are short enough to be looked up as a whole. */
function clusterEnd(characters: Int32Array, from: number): number {
  let to = from + 1;
  let last = characters[from]!;
  while (to < characters.length && isJoined(last, characters[to]!)) last = characters[to++]!;
  return to;
}

function isJoined(first: number, second: number): boolean {
  if (first < 0x80 && second < 0x80) return first === 0x0d && second === 0x0a;
  if (GRAPHEME_CONTROL.has(first) || GRAPHEME_CONTROL.has(second)) return false;
  return GRAPHEME_EXTEND.has(second) || GRAPHEME_PREPEND.has(first);
}
