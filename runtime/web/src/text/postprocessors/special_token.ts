/** The fields `cls` and `sep` of BERT's and RoBERTa's post-processors: ["[CLS]", 101]. */

import type { Part } from "../part.js";
import { joined, specialTokens, type Tokens } from "../tokens.js";

export class SpecialToken {
  private readonly text: string;
  private readonly id: number;

  constructor(part: Part, key: string) {
    const pair = part.list(key);
    const [text] = pair;
    if (pair.length !== 2 || typeof text !== "string") part.wrong(key, "a token and its id", pair);
    this.text = text as string;
    this.id = part.toInteger(pair[1], key);
  }

  tokens(type: number): Tokens {
    return specialTokens([this.id], [this.text], type);
  }
}

/** `tokens` as text `index`, between those of `before` and `behind`. */
export function surrounded(
  before: readonly Tokens[],
  tokens: Tokens,
  behind: readonly Tokens[],
  index: number,
): Tokens {
  const first = before.reduce((count, part) => count + part.ids.length, 0);
  const result = joined([...before, tokens, ...behind]);
  result.ranges = new Map([[index, [first, first + tokens.ids.length]]]);
  return result;
}
