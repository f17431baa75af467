/** Classes of characters in regular expressions: [^a-z\s[…]] and \p{L}. */

import { CharacterSet } from "../character_set.js";
import { categorySet, REGEX_WORD, WHITESPACE } from "../unicode.js";

/** A pattern holds what this runtime doesn't know; the message says what. */
export class UnknownSyntax extends Error {}

/** What reads the pattern, character by character. */
export interface Reader {
  peek(): string;
  take(): string;
  takes(text: string): boolean;
}

const CONTROLS: ReadonlyMap<string, number> = new Map([
  ["n", 0x0a],
  ["r", 0x0d],
  ["t", 0x09],
  ["f", 0x0c],
  ["v", 0x0b],
]);

/** What follows a backslash, as a set. */
export function readEscape(reader: Reader): CharacterSet {
  const set = new CharacterSet();
  const one = addEscape(reader, set);
  if (one !== null) set.add(one);
  return set;
}

/** What follows "[", the closing bracket included. */
export function readClass(reader: Reader, depth = 0): CharacterSet {
  if (depth > 8) throw new UnknownSyntax("classes nested more than 8 deep");
  const isInverted = reader.takes("^");
  const set = new CharacterSet();
  if (reader.peek() === "]") throw new UnknownSyntax("a class that begins with ']'");
  while (!reader.takes("]")) {
    if (reader.takes("&&") || reader.takes("[:")) throw new UnknownSyntax("'&&' or '[:' in a class");
    if (reader.takes("[")) {
      set.addAll(readClass(reader, depth + 1));
      continue;
    }
    const first = readItem(reader, set);
    if (first === null) continue;
    set.add(first);
    if (!reader.takes("-")) continue;
    if (reader.peek() === "]") {
      set.add(0x2d);
      continue;
    }
    const last = readItem(reader, set);
    if (last === null || last < first) throw new UnknownSyntax("a range of characters that has no end");
    set.addRange(first, last);
  }
  return isInverted ? set.inverted() : set;
}

/** One character of a class; null where it was several, which are added to `set`. */
function readItem(reader: Reader, set: CharacterSet): number | null {
  const character = reader.take();
  return character === "\\" ? addEscape(reader, set) : character.codePointAt(0)!;
}

/** The character of an escape; null where it is several, which are added to `set`. */
function addEscape(reader: Reader, set: CharacterSet): number | null {
  const name = reader.take();
  if (!/[sdwp]/i.test(name)) return oneOf(name, reader);
  const several = severalOf(name.toLowerCase(), reader);
  set.addAll(name > "Z" ? several : several.inverted());
  return null;
}

function severalOf(name: string, reader: Reader): CharacterSet {
  switch (name) {
    case "s":
      return WHITESPACE;
    case "w":
      return REGEX_WORD;
    case "d":
      return categorySet("Nd")!;
    default:
      return property(reader);
  }
}

function property(reader: Reader): CharacterSet {
  if (!reader.takes("{")) throw new UnknownSyntax("\\p without a category");
  const isInverted = reader.takes("^");
  let name = "";
  while (!reader.takes("}")) name += reader.take();
  const set = categorySet(name);
  if (set === null) throw new UnknownSyntax(`\\p{${name.slice(0, 30)}}`);
  return isInverted ? set.inverted() : set;
}

function oneOf(name: string, reader: Reader): number {
  const control = CONTROLS.get(name);
  if (control !== undefined) return control;
  if (name === "x") return hexadecimal(reader, reader.takes("{") ? "}" : 2);
  if (name === "u") return hexadecimal(reader, 4);
  if (/[A-Za-z0-9]/.test(name)) throw new UnknownSyntax(`\\${name}`);
  return name.codePointAt(0)!;
}

/** A code point of so many digits, or of those before a character. */
function hexadecimal(reader: Reader, end: number | "}"): number {
  let digits = "";
  while (end === "}" ? !reader.takes(end) : digits.length < end) digits += reader.take();
  const value = parseInt(digits, 16);
  if (!/^[0-9A-Fa-f]{1,6}$/.test(digits) || value > 0x10ffff) throw new UnknownSyntax(`\\x${digits.slice(0, 10)}`);
  return value;
}
