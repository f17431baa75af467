/** The merges of a BPE model, from its two ways to write them. */

import { PairMap } from "../pair_map.js";
import type { Part } from "../part.js";

export interface Merges {
  /** Two ids → the rank of their merge; the lowest goes first. */
  readonly ranks: PairMap;
  /** By rank, the id of what comes out. */
  readonly results: Int32Array;
}

export function readMerges(part: Part, vocabulary: ReadonlyMap<string, number>, prefix: string): Merges {
  const written = part.list("merges").filter((merge) => typeof merge !== "string" || !merge.startsWith("#version"));
  const ranks = new PairMap(written.length);
  const results = new Int32Array(written.length);
  written.forEach((merge, rank) => {
    const pair: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string" || typeof pair[1] !== "string") {
      return part.wrong(`merges[${rank}]`, "two tokens", merge);
    }
    const [left, right] = pair as [string, string];
    if (!right.startsWith(prefix)) part.wrong(`merges[${rank}]`, `a second token that begins with '${prefix}'`, right);
    const id = (token: string): number =>
      vocabulary.get(token) ?? part.wrong(`merges[${rank}]`, "tokens of the vocabulary", token);
    ranks.set(id(left), id(right), rank);
    results[rank] = id(left + right.slice(prefix.length));
  });
  return { ranks, results };
}
