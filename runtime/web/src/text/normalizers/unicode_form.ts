/** NFC, NFD, NFKC, NFKD. */

import { IntList } from "../int_list.js";
import type { NormalizedText } from "../normalized_text.js";
import { combiningClass, compose, decomposition } from "../unicode.js";
import type { Normalizer } from "./normalizer.js";

// No character below these changes.
const FIRST_CANONICAL = 0xc0;
const FIRST_COMPATIBLE = 0xa0;

/** `tokenizers` counts changes of characters (normalized_text.ts); these are the characters and their changes. */
interface Changed {
  readonly characters: IntList;
  readonly changes: IntList;
}

export class UnicodeForm implements Normalizer {
  constructor(
    private readonly isCompatible: boolean,
    private readonly isComposed: boolean,
  ) {}

  normalize(text: NormalizedText): void {
    if (isPlain(text, this.isCompatible)) return;
    const decomposed = decomposedForm(text, this.isCompatible);
    const { characters, changes } = this.isComposed ? composedForm(decomposed) : decomposed;
    text.change(characters, changes, new IntList(characters.length));
  }
}

export function decompose(text: NormalizedText, isCompatible: boolean): void {
  new UnicodeForm(isCompatible, false).normalize(text);
}

function isPlain(text: NormalizedText, isCompatible: boolean): boolean {
  const first = isCompatible ? FIRST_COMPATIBLE : FIRST_CANONICAL;
  return text.characters.every((character) => character < first);
}

function decomposedForm(text: NormalizedText, isCompatible: boolean): Changed {
  const characters = new IntList(text.length + 16);
  const changes = new IntList(text.length + 16);
  let sortFrom = -1; // where a run of characters with a combining class begins
  const push = (character: number, change: number): void => {
    const isStarter = character < 0x300 || combiningClass(character) === 0;
    if (isStarter && sortFrom !== -1) {
      sortMarks(characters, changes, sortFrom);
      sortFrom = -1;
    } else if (!isStarter && sortFrom === -1) {
      sortFrom = characters.length;
    }
    characters.push(character);
    changes.push(change);
  };
  for (let index = 0; index < text.length; index++) {
    const character = text.characters[index]!;
    const parts = character < FIRST_COMPATIBLE ? null : decomposition(character, isCompatible);
    if (parts === null) push(character, 0);
    else parts.forEach((part, position) => push(part, position === 0 ? 0 : 1));
  }
  if (sortFrom !== -1) sortMarks(characters, changes, sortFrom);
  return { characters, changes };
}

/** Puts the marks from `from` to the end in the order of their classes, equal ones as they were. */
function sortMarks(characters: IntList, changes: IntList, from: number): void {
  if (characters.length - from < 2) return;
  const marks: { character: number; change: number; order: number }[] = [];
  for (let index = from; index < characters.length; index++) {
    const character = characters.get(index);
    marks.push({ character, change: changes.get(index), order: combiningClass(character) });
  }
  marks.sort((one, other) => one.order - other.order);
  marks.forEach((mark, position) => {
    characters.set(from + position, mark.character);
    changes.set(from + position, mark.change);
  });
}

/**
 * Composes in the order in which `tokenizers` hands characters out: a starter before the marks that stay apart from it.
 */
function composedForm(decomposed: Changed): Changed {
  const characters = new IntList(decomposed.characters.length);
  const changes = new IntList(decomposed.characters.length);
  let starter = -1; // where the last starter stands in `characters`
  let lastClass = -1; // the class of the last mark behind it that stayed; -1: none
  for (let index = 0; index < decomposed.characters.length; index++) {
    const character = decomposed.characters.get(index);
    const change = decomposed.changes.get(index);
    const order = combiningClass(character);
    const isBlocked = starter === -1 || (lastClass !== -1 && lastClass >= order);
    const composed = isBlocked ? -1 : compose(characters.get(starter), character);
    if (composed !== -1) {
      characters.set(starter, composed);
      changes.set(starter, changes.get(starter) + change - 1);
      continue;
    }
    if (order === 0) {
      starter = characters.length;
      lastClass = -1;
    } else if (starter !== -1) {
      lastClass = order;
    }
    characters.push(character);
    changes.push(change);
  }
  return { characters, changes };
}
