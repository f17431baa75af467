/** A prefix tree of tokens, one code point an edge. */

import { IntList } from "./int_list.js";
import { PairMap } from "./pair_map.js";

export const ROOT = 0;

export class Trie {
  private readonly edges: PairMap;
  private readonly values = new IntList();

  /** `expected`: about how many characters all tokens have. */
  constructor(expected: number) {
    this.edges = new PairMap(expected);
    this.values.push(-1);
  }

  /** The last of several values for one token counts. */
  add(token: Int32Array, value: number): void {
    let node = ROOT;
    for (const character of token) {
      let child = this.edges.get(node, character);
      if (child === -1) {
        child = this.values.length;
        this.values.push(-1);
        this.edges.set(node, character, child);
      }
      node = child;
    }
    this.values.set(node, value);
  }

  /** The node behind `character`, or -1. */
  child(node: number, character: number): number {
    return this.edges.get(node, character);
  }

  /** The value of the token that ends at `node`, or -1. */
  value(node: number): number {
    return this.values.get(node);
  }

  /** The node behind all of `characters`, or -1. */
  walk(characters: Int32Array): number {
    let node = ROOT;
    for (const character of characters) {
      node = this.edges.get(node, character);
      if (node === -1) return -1;
    }
    return node;
  }
}
