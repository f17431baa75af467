/** What is known of each character: the table that runtime/unicode_table/README.md describes, made usable. */

import { EngineError } from "../errors.js";
import { CharacterSet, CODE_POINTS } from "./character_set.js";
import { PairMap } from "./pair_map.js";
import data from "./unicode_data.js";

type CharacterMap = Map<number, readonly number[]>;

const lines: ReadonlyMap<string, readonly string[]> = new Map(
  data.split("\n").map((line) => {
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
    map.set(
      character,
      differences!.split(",").map((difference) => (target += number(difference))),
    );
  }
  return map;
}

function eachRun(name: string, use: (value: string, length: number) => void): void {
  const values = items(name);
  for (let index = 0; index < values.length; index += 2) use(values[index]!, number(values[index + 1]!));
}

const categories = readCategories();

function readCategories(): ReadonlyMap<string, CharacterSet> {
  const found = new Map<string, CharacterSet>();
  let start = 0;
  eachRun("category", (name, length) => {
    let set = found.get(name);
    if (set === undefined) found.set(name, (set = new CharacterSet()));
    set.addRange(start, start + length - 1);
    start += length;
  });
  return found;
}

/** Characters of a general category, "Lu", or of all that begin with a letter, "L"; null where there is none. */
export function categorySet(name: string): CharacterSet | null {
  const parts = [...categories].filter(([known]) => known === name || known[0] === name);
  if (parts.length === 0) return null;
  const set = new CharacterSet();
  for (const [, part] of parts) set.addAll(part);
  return set;
}

/** Sets are written as categories and the ranges that are in one of both alone. */
function readSet(name: string): CharacterSet {
  const [near, ...differences] = items(name);
  const set = new CharacterSet();
  if (near !== "-") near!.split("+").forEach((category) => set.addAll(categorySet(category)!));
  eachOf(differences, (character) => set.toggle(character));
  return set;
}

/** The characters of ranges, written as gap and length in turn. */
function eachOf(ranges: readonly string[], use: (character: number) => void): void {
  let end = 0;
  for (let index = 0; index < ranges.length; index += 2) {
    const first = end + number(ranges[index]!);
    end = first + number(ranges[index + 1]!);
    for (let character = first; character < end; character++) use(character);
  }
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
const combiningClasses = readClasses();

function readClasses(): Uint8Array {
  const found = new Uint8Array(CODE_POINTS);
  let start = 0;
  eachRun("combining_class", (value, length) => found.fill(Number(value), start, (start += length)));
  return found;
}

/** How characters are composed and decomposed. */
interface Forms {
  readonly canonical: CharacterMap;
  readonly compatible: CharacterMap; // where NFKD isn't NFD
  readonly pairs: PairMap; // two characters → what they make
}

let known: Forms | null = null;

function forms(): Forms {
  return (known ??= readForms());
}

/**
 * The table has what became part of Unicode after version 3.2; the rest, two thirds of it by size, never changes and is
 * asked of the platform. A sum over all of it shows whether the answers were those of Python's package.
 */
function readForms(): Forms {
  const found = { canonical: readMap("canonical"), compatible: readMap("compatible"), pairs: new PairMap(1000) };
  const composed = readPairs();
  askPlatform(found, composed);
  for (const [character, parts] of composed) {
    found.pairs.set(...parts, character);
    if (!found.canonical.has(character)) found.canonical.set(character, expand(character, composed, found.canonical));
  }
  let sum = 0;
  for (const [character, parts] of composed) sum += mixed([...parts, character]);
  for (const map of [found.canonical, found.compatible])
    for (const [character, targets] of map) sum += mixed([character, ...targets]);
  if (sum % 2 ** 32 !== Number(items("sum_of_forms")[0]))
    throw new EngineError(
      "String.prototype.normalize isn't that of Unicode here: texts would become other tokens: use another browser",
    );
  return found;
}

function readPairs(): Map<number, [number, number]> {
  const values = items("compose").map(number);
  const composed = new Map<number, [number, number]>();
  let character = 0;
  let first = 0;
  for (let index = 0; index < values.length; index += 3) {
    character += values[index]!;
    first += values[index + 1]!;
    composed.set(character, [first, values[index + 2]!]);
  }
  return composed;
}

function askPlatform({ canonical, compatible }: Forms, composed: Map<number, [number, number]>): void {
  eachOf(items("settled"), (character) => {
    const letter = String.fromCodePoint(character);
    const [full, wide] = [letter.normalize("NFD"), letter.normalize("NFKD")];
    if (wide !== full) compatible.set(character, codePoints(wide));
    if (full === letter) return;
    const parts = codePoints(full);
    canonical.set(character, parts);
    if (parts.length === 1 || letter.normalize("NFC") !== letter) return;
    const last = parts.at(-1)!;
    const before = String.fromCodePoint(...parts.slice(0, -1)).normalize("NFC");
    composed.set(character, [before.codePointAt(0)!, last]);
  });
}

/** A character that is composed decomposes into what it is composed of, so only the others are in the table. */
function expand(
  part: number,
  composed: ReadonlyMap<number, readonly [number, number]>,
  canonical: CharacterMap,
): readonly number[] {
  const pair = composed.get(part);
  return pair?.flatMap((item) => expand(item, composed, canonical)) ?? canonical.get(part) ?? [part];
}

/** Hash FNV-1a, of whole numbers instead of bytes. */
function mixed(values: readonly number[]): number {
  return values.reduce((hash, value) => Math.imul(hash ^ value, 16777619), 2166136261) >>> 0;
}

function codePoints(text: string): number[] {
  return Array.from(text, (letter) => letter.codePointAt(0)!);
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
  const { canonical, compatible } = forms();
  return (isCompatible ? compatible.get(character) : undefined) ?? canonical.get(character) ?? null;
}

/** The character that two make together, or -1. */
export function compose(first: number, second: number): number {
  const leading = first - LEADING;
  const vowel = second - VOWELS;
  if (leading >= 0 && leading < 19 && vowel >= 0 && vowel < 21) return HANGUL + (leading * 21 + vowel) * 28;
  const syllable = first - HANGUL;
  const trailing = second - TRAILING;
  if (syllable >= 0 && syllable < SYLLABLES && syllable % 28 === 0 && trailing > 0 && trailing < 28)
    return first + trailing;
  return forms().pairs.get(first, second);
}
