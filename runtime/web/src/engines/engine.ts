/** What an engine is to the rest of the runtime. Engines' packages are the caller's: nothing here imports one. */

import type { VariantEntry } from "../bundle/manifest.js";
import type { Tensors } from "../tensor.js";

/** A model file in memory, ready to run. Shapes are those of the file: padding and splitting happen above. */
export interface LoadedModel {
  /** What runs it: package, version and what it runs on. */
  readonly label: string;
  /** What ran where, as far as the engine says. */
  readonly delegation: readonly string[];
  /** One inference: {input name: tensor} to {output name: tensor}. Calls wait for each other. Throws EngineError. */
  run(feeds: Tensors): Promise<Tensors>;
  /** Release the engine's memory; calling it twice is harmless. */
  close(): Promise<void>;
}

/** Loads the model files that are made for it. */
export interface Engine {
  /** As manifests name it: "onnxruntime", "litert". */
  readonly name: string;
  /** Package and version, as far as it is known before a model is loaded. */
  readonly label: string;
  /** Worker threads that it computes with, the calling one included. */
  readonly threads: number;
  /**
   * Its results are taken only where golden rows were run and agree: it is known to load files and compute something
   * else.
   */
  readonly mustAgree?: boolean;
  /** Why `variant` can't run here; null where it can. Never throws. */
  problem(variant: VariantEntry): string | null;
  /** Load one graph's file; throws EngineError. */
  load(content: Uint8Array, variant: VariantEntry): Promise<LoadedModel>;
}

/** Why a package is too old for a variant; null where it isn't, or where either version isn't known. */
export function versionProblem(label: string, version: string | null, needed: string | null): string | null {
  if (version === null || needed === null || needed.startsWith("iOS")) return null;
  const [has, wants] = [version, needed].map((text) => text.split(/[.+-]/).map(Number)) as [number[], number[]];
  for (let i = 0; i < wants.length; i++) {
    const [a, b] = [has[i] ?? 0, wants[i] as number];
    if (Number.isNaN(a) || a > b) return null;
    if (a < b) return `${label} ${version} is too old: expected ${needed} or newer`;
  }
  return null;
}

/** Threads that an engine may use: more than one only in a page that is cross-origin isolated (or in Node). */
export function threadsAllowed(wanted: number): number {
  const isolated = typeof SharedArrayBuffer === "function" && (globalThis.crossOriginIsolated ?? true);
  return isolated ? wanted : 1;
}

/** Runs calls one after the other: engines' sessions take one at a time. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  take<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.last.then(call, call);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}
