/** Strings as arrays of code points, and back. */

import { InputError } from "../errors.js";

/** The code points of `text`; throws InputError where half of a surrogate pair stands alone: that is no text. */
export function toCodePoints(text: string): Int32Array {
  const points = new Int32Array(text.length);
  let length = 0;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0xd800 || unit > 0xdfff) {
      points[length++] = unit;
      continue;
    }
    const next = index + 1 < text.length ? text.charCodeAt(index + 1) : 0;
    if (unit > 0xdbff || next < 0xdc00 || next > 0xdfff) {
      throw new InputError(
        `text: character ${length} is half of a surrogate pair, which is no text: decode its source again`,
      );
    }
    points[length++] = 0x10000 + ((unit - 0xd800) << 10) + (next - 0xdc00);
    index++;
  }
  return points.subarray(0, length);
}

/** The string of points[from … to-1]. */
export function toText(points: Int32Array, from: number, to: number): string {
  let text = "";
  for (let index = from; index < to; index++) text += String.fromCodePoint(points[index]!);
  return text;
}

/** How many bytes `character` takes in UTF-8. */
export function utf8Length(character: number): number {
  return character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
}

/** Calls `take` with each byte of `character` in UTF-8. */
export function utf8Bytes(character: number, take: (byte: number) => void): void {
  if (character < 0x80) {
    take(character);
    return;
  }
  const length = utf8Length(character);
  take(((0xf00 >> length) & 0xff) | (character >> (6 * (length - 1))));
  for (let rest = length - 2; rest >= 0; rest--) take(0x80 | ((character >> (6 * rest)) & 0x3f));
}

/**
 * Byte-level BPE writes each byte as one printable character: those that are printable in Latin-1 stand for themselves,
 * the others follow in order from U+0100 on.
 */
export const CHARACTER_OF_BYTE: Int32Array = characterOfByte();

function characterOfByte(): Int32Array {
  const characters = new Int32Array(256);
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    characters[byte] = printable ? byte : next++;
  }
  return characters;
}
