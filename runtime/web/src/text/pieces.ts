/**
 * A text cut into pieces: what pre-tokenizers make, and models take one by one.
 *
 * All pieces lie in one buffer of characters with their places in the original (see NormalizedText). A piece that is an
 * added token has its id and isn't cut any more.
 */

import { IntList } from "./int_list.js";

const NO_TOKEN = -1;

/** What is cut out of a piece: `take` is called with each part [from, to) of the buffer, in order. */
export type Cutter = (
  characters: Int32Array,
  from: number,
  to: number,
  take: (from: number, to: number) => void,
) => void;

export class Pieces {
  readonly from = new IntList();
  readonly to = new IntList();
  private readonly tokens = new IntList();

  constructor(
    readonly characters: Int32Array,
    readonly starts: Int32Array,
    readonly ends: Int32Array,
  ) {}

  get length(): number {
    return this.from.length;
  }

  /** Adds a piece; an empty one is none. */
  add(from: number, to: number, token: number = NO_TOKEN): void {
    if (from === to) return;
    this.from.push(from);
    this.to.push(to);
    this.tokens.push(token);
  }

  /** The id of an added token; -1 for text. */
  token(index: number): number {
    return this.tokens.get(index);
  }

  /** The same characters in smaller pieces. */
  cut(cutter: Cutter): Pieces {
    const result = new Pieces(this.characters, this.starts, this.ends);
    const take = (from: number, to: number): void => result.add(from, to);
    for (let index = 0; index < this.length; index++) {
      if (this.token(index) === NO_TOKEN) cutter(this.characters, this.from.get(index), this.to.get(index), take);
      else result.add(this.from.get(index), this.to.get(index), this.token(index));
    }
    return result;
  }

  /** Other characters: `rewrite` writes those of a piece, each with the place in the buffer that it comes from. */
  rewrite(rewrite: (from: number, to: number, write: (character: number, origin: number) => void) => void): Pieces {
    const builder = new PiecesBuilder(this.characters.length);
    const write = (character: number, origin: number): void => {
      builder.write(character, this.starts[origin]!, this.ends[origin]!);
    };
    for (let index = 0; index < this.length; index++) {
      const from = this.from.get(index);
      const to = this.to.get(index);
      if (this.token(index) === NO_TOKEN) rewrite(from, to, write);
      else for (let position = from; position < to; position++) write(this.characters[position]!, position);
      builder.endPiece(this.token(index));
    }
    return builder.build();
  }
}

/** Writes pieces one after the other. */
export class PiecesBuilder {
  private readonly characters: IntList;
  private readonly starts: IntList;
  private readonly ends: IntList;
  private readonly bounds = new IntList();
  private readonly tokens = new IntList();

  constructor(expected: number) {
    this.characters = new IntList(expected + 16);
    this.starts = new IntList(expected + 16);
    this.ends = new IntList(expected + 16);
  }

  write(character: number, start: number, end: number): void {
    this.characters.push(character);
    this.starts.push(start);
    this.ends.push(end);
  }

  /** Appends characters [from, to) of another buffer. */
  append(text: { characters: Int32Array; starts: Int32Array; ends: Int32Array }, from: number, to: number): void {
    this.characters.append(text.characters, from, to);
    this.starts.append(text.starts, from, to);
    this.ends.append(text.ends, from, to);
  }

  /** What was written since the last one is a piece. */
  endPiece(token: number = NO_TOKEN): void {
    this.bounds.push(this.characters.length);
    this.tokens.push(token);
  }

  build(): Pieces {
    const pieces = new Pieces(this.characters.toArray(), this.starts.toArray(), this.ends.toArray());
    let from = 0;
    for (let index = 0; index < this.bounds.length; index++) {
      pieces.add(from, this.bounds.get(index), this.tokens.get(index));
      from = this.bounds.get(index);
    }
    return pieces;
  }
}
