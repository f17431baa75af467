/** The merges of a BPE model, from its two ways to write them. */

import { PairMap } from "../pair_map.js";
import type { Part } from "../part.js";
import type { Vocabulary } from "../vocabulary.js";

export interface Merges {
  /** Two ids → the rank of their merge; the lowest goes first. */
  readonly ranks: PairMap;
  /** By rank, the id of what comes out. */
  readonly results: Int32Array;
  /** One makes a token in which a word begins, but not at the token's beginning. */
  readonly crossMetaspace: boolean;
}

const CROSSING = /[^\u2581]\u2581/;

export function readMerges(part: Part, vocabulary: Vocabulary, prefix: string): Merges {
  const written = part.list("merges").filter((merge) => typeof merge !== "string" || !merge.startsWith("#version"));
  const ranks = new PairMap(written.length);
  const results = new Int32Array(written.length);
  let crossMetaspace = false;
  written.forEach((merge, rank) => {
    const pair: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string" || typeof pair[1] !== "string") {
      return part.wrong(`merges[${rank}]`, "two tokens", merge);
    }
    const [left, right] = pair as [string, string];
    if (!right.startsWith(prefix)) part.wrong(`merges[${rank}]`, `a second token that begins with '${prefix}'`, right);
    const id = (token: string): number =>
      vocabulary.id(token) ?? part.wrong(`merges[${rank}]`, "tokens of the vocabulary", token);
    ranks.set(id(left), id(right), rank);
    const result = left + right.slice(prefix.length);
    results[rank] = id(result);
    if (CROSSING.test(result)) crossMetaspace = true;
  });
  return { ranks, results, crossMetaspace };
}
