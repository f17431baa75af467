/**
 * A compiled regular expression, or a plain string: nodes that each try to match from a position on and then what
 * follows.
 */

import { InputError } from "../../errors.js";
import type { CharacterSet } from "../character_set.js";
import { IntList } from "../int_list.js";

const STEPS_A_CHARACTER = 200;
const FEWEST_STEPS = 1_000_000;

/** The text that is matched, and how much work is left: patterns that would take for ever end in an error. */
export interface Subject {
  readonly characters: Int32Array;
  readonly end: number;
  steps: number;
}

/** A part of a pattern, with all that follows it. */
export interface Node {
  /** Where the match ends that begins at `position`; -1 where there is none. */
  match(subject: Subject, position: number): number;
}

export class Pattern {
  constructor(private readonly root: Node) {}

  /** Start and end, in turn, of the matches in characters[from … to-1], from the left, none overlapping. */
  findAll(characters: Int32Array, from: number, to: number): IntList {
    const found = new IntList();
    const subject = { characters, end: to, steps: FEWEST_STEPS + STEPS_A_CHARACTER * (to - from) };
    let position = from;
    while (position < to) {
      const end = this.root.match(subject, position);
      if (end > position) {
        found.push(position);
        found.push(end);
        position = end;
      } else {
        position++;
      }
    }
    return found;
  }
}

/** The end of the whole pattern, or of what a look-ahead looks for. */
export class EndNode implements Node {
  match(_subject: Subject, position: number): number {
    return position;
  }
}

/** One character. */
export class CharacterNode implements Node {
  constructor(
    private readonly character: number,
    private readonly next: Node,
  ) {}

  match(subject: Subject, position: number): number {
    if (position >= subject.end || subject.characters[position] !== this.character) return -1;
    return this.next.match(subject, position + 1);
  }
}

/** One character of a set. */
export class OneNode implements Node {
  constructor(
    private readonly set: CharacterSet,
    private readonly next: Node,
  ) {}

  match(subject: Subject, position: number): number {
    if (position >= subject.end || !this.set.has(subject.characters[position]!)) return -1;
    return this.next.match(subject, position + 1);
  }
}

/** `least` to `most` characters of a set; as many as can be, or as few, or as many and no going back. */
export class RepeatNode implements Node {
  constructor(
    private readonly set: CharacterSet,
    private readonly least: number,
    private readonly most: number,
    private readonly mode: "greedy" | "lazy" | "possessive",
    private readonly next: Node,
  ) {}

  match(subject: Subject, position: number): number {
    const limit = Math.min(subject.end, position + this.most);
    if (this.mode === "lazy") return this.matchLazily(subject, position, limit);
    let end = position;
    while (end < limit && this.set.has(subject.characters[end]!)) end++;
    spend(subject, end - position);
    const shortest = this.mode === "possessive" ? end : position + this.least;
    if (end < position + this.least) return -1;
    for (; end >= shortest; end--) {
      const result = this.next.match(subject, end);
      if (result !== -1) return result;
      spend(subject, 1);
    }
    return -1;
  }

  private matchLazily(subject: Subject, position: number, limit: number): number {
    for (let end = position; end <= limit; end++) {
      if (end - position >= this.least) {
        const result = this.next.match(subject, end);
        if (result !== -1) return result;
      }
      spend(subject, 1);
      if (end === limit || !this.set.has(subject.characters[end]!)) return -1;
    }
    return -1;
  }
}

/** The first of several branches that matches. */
export class ChoiceNode implements Node {
  constructor(private readonly branches: readonly Node[]) {}

  match(subject: Subject, position: number): number {
    for (const branch of this.branches) {
      const result = branch.match(subject, position);
      if (result !== -1) return result;
    }
    return -1;
  }
}

/** (?=…) and (?!…). */
export class LookAheadNode implements Node {
  constructor(
    private readonly inner: Node,
    private readonly isNegative: boolean,
    private readonly next: Node,
  ) {}

  match(subject: Subject, position: number): number {
    const isThere = this.inner.match(subject, position) !== -1;
    return isThere === this.isNegative ? -1 : this.next.match(subject, position);
  }
}

/** $, as Ruby has it: at the end, or before a line feed. With `isLast`, \z: at the end alone. */
export class EndOfTextNode implements Node {
  constructor(
    private readonly isLast: boolean,
    private readonly next: Node,
  ) {}

  match(subject: Subject, position: number): number {
    const isEnd = position === subject.end || (!this.isLast && subject.characters[position] === 0x0a);
    return isEnd ? this.next.match(subject, position) : -1;
  }
}

function spend(subject: Subject, steps: number): void {
  subject.steps -= steps;
  if (subject.steps < 0)
    throw new InputError("text: a regular expression of the tokenizer takes too long on it: shorten it");
}
