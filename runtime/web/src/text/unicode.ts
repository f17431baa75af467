/** What is known of each character: runtime/unicode_table, which README.md there describes, made usable. */

import { CharacterSet, CODE_POINTS } from "./character_set.js";
import { PairMap } from "./pair_map.js";
import data from "./unicode_data.js";

type CharacterMap = Map<number, readonly number[]>;

const lines: ReadonlyMap<string, readonly string[]> = new Map(
  data.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const [name, ...items] = line.split(" ");
    return [name!, items];
  }),
);

function items(name: string): readonly string[] {
  return lines.get(name)!;
}

/** Base 36. */
function number(digits: string): number {
  return parseInt(digits, 36);
}

function readMap(name: string): CharacterMap {
  const map = new Map<number, readonly number[]>();
  let character = 0;
  let target = 0;
  for (const item of items(name)) {
    const [gap, differences] = item.split(":");
    character += number(gap!);
    map.set(character, differences!.split(",").map((difference) => (target += number(difference))));
  }
  return map;
}

function readRuns(name: string, value: (text: string) => number): Uint8Array {
  const array = new Uint8Array(CODE_POINTS);
  const values = items(name);
  let start = 0;
  for (let index = 0; index < values.length; index += 2) {
    const end = start + number(values[index + 1]!);
    array.fill(value(values[index]!), start, end);
    start = end;
  }
  return array;
}

const categoryNames: string[] = [];

function categoryIndex(name: string): number {
  if (!categoryNames.includes(name)) categoryNames.push(name);
  return categoryNames.indexOf(name);
}

const categories = readRuns("category", categoryIndex);

/** Characters of a general category, "Lu", or of all that begin with a letter, "L"; null where there is none. */
export function categorySet(name: string): CharacterSet | null {
  if (!categoryNames.some((known) => known === name || known[0] === name)) return null;
  const wanted = categoryNames.map((known) => known === name || known[0] === name);
  const set = new CharacterSet();
  for (let character = 0; character < CODE_POINTS; character++) if (wanted[categories[character]!]) set.add(character);
  return set;
}

/** Sets are written as categories and the ranges that are in one of both alone. */
function readSet(name: string): CharacterSet {
  const [near, ...differences] = items(name);
  const set = new CharacterSet();
  if (near !== "-") near!.split("+").forEach((category) => set.addAll(categorySet(category)!));
  let end = 0;
  for (let index = 0; index < differences.length; index += 2) {
    const first = end + number(differences[index]!);
    end = first + number(differences[index + 1]!);
    for (let character = first; character < end; character++) set.toggle(character);
  }
  return set;
}

export const WHITESPACE = readSet("whitespace");
export const WORD = readSet("word");
export const REGEX_WORD = readSet("regex_word");
export const NUMERIC = readSet("numeric");
export const PUNCTUATION = readSet("punctuation");
export const BERT_REMOVED = readSet("bert_removed");
export const BERT_CHINESE = readSet("bert_chinese");
export const NONSPACING_MARK = readSet("nonspacing_mark");
export const COMBINING_MARK = readSet("combining_mark");
export const GRAPHEME_EXTEND = readSet("grapheme_extend");
export const GRAPHEME_PREPEND = readSet("grapheme_prepend");
export const GRAPHEME_CONTROL = readSet("grapheme_control");

export const LOWERCASE: ReadonlyMap<number, readonly number[]> = readMap("lowercase");
const canonical = readMap("canonical");
const compatible = readMap("compatible");
const combiningClasses = readRuns("combining_class", Number);

const pairs = new PairMap(1000); // two characters → what they make
readPairs();

/** A character that is composed decomposes into what it is composed of, so only the others are in `canonical`. */
function readPairs(): void {
  const values = items("compose").map(number);
  const parts = new Map<number, readonly [number, number]>();
  let character = 0;
  let first = 0;
  for (let index = 0; index < values.length; index += 3) {
    character += values[index]!;
    first += values[index + 1]!;
    const second = values[index + 2]!;
    pairs.set(first, second, character);
    parts.set(character, [first, second]);
  }
  const expand = (part: number): readonly number[] => {
    const pair = parts.get(part);
    return pair === undefined ? canonical.get(part) ?? [part] : [...expand(pair[0]), ...expand(pair[1])];
  };
  for (const composed of parts.keys()) canonical.set(composed, expand(composed));
}

export function combiningClass(character: number): number {
  return combiningClasses[character]!;
}

const HANGUL = 0xac00;
const LEADING = 0x1100;
const VOWELS = 0x1161;
const TRAILING = 0x11a7;
const SYLLABLES = 19 * 21 * 28;

/** The full decomposition, or null where the character stays as it is. */
export function decomposition(character: number, isCompatible: boolean): readonly number[] | null {
  const syllable = character - HANGUL;
  if (syllable >= 0 && syllable < SYLLABLES) {
    const trailing = syllable % 28;
    const parts = [LEADING + Math.floor(syllable / (21 * 28)), VOWELS + Math.floor((syllable % (21 * 28)) / 28)];
    return trailing === 0 ? parts : [...parts, TRAILING + trailing];
  }
  return (isCompatible ? compatible.get(character) : undefined) ?? canonical.get(character) ?? null;
}

/** The character that two make together, or -1. */
export function compose(first: number, second: number): number {
  const leading = first - LEADING;
  const vowel = second - VOWELS;
  if (leading >= 0 && leading < 19 && vowel >= 0 && vowel < 21) return HANGUL + (leading * 21 + vowel) * 28;
  const syllable = first - HANGUL;
  const trailing = second - TRAILING;
  if (syllable >= 0 && syllable < SYLLABLES && syllable % 28 === 0 && trailing > 0 && trailing < 28) return first + trailing;
  return pairs.get(first, second);
}
