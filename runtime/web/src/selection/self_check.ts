/**
 * Does this engine, on this machine, give the results that were verified when the bundle was made?
 *
 * Some engines load a file and silently return wrong numbers. So a variant first answers the golden rows of its bundle;
 * an answer that differs by more than the tolerance stated there means that the variant is refused on this engine.
 */

import { readGolden, type Golden, type GoldenVariant } from "../bundle/golden.js";
import type { Bundle } from "../bundle/bundle.js";
import { EngineError, InputError, RuntimeBundleError } from "../errors.js";
import type { TextEncoder as RowEncoder } from "../text/text_encoder.js";
import { best } from "../tasks/scores.js";
import { floats, type Tensor, type Tensors } from "../tensor.js";
import type { Memory } from "./memory.js";
import type { Runner } from "./graphs_runner.js";

// Of places where one number clearly leads, so many must lead in the answer too.
const DECISIVE_SHARE = 0.98;
const DECISIVE_SIGMAS = 6;

export type SelfCheckMode = "first" | "always" | "never";

/** How a self-check ended; a failed one is an EngineError instead. Numbers are null where no row was run. */
export interface SelfCheck {
  readonly status: "passed" | "passed before" | "off" | "nothing to compare with";
  readonly text: string;
  readonly similarity: number | null;
  readonly firstInferenceMs: number | null;
}

/** Compare a loaded variant with its golden rows; throws EngineError when it gives wrong results. */
export async function selfCheck(
  bundle: Bundle,
  runner: Runner,
  mode: SelfCheckMode,
  memory: Memory,
): Promise<SelfCheck> {
  const none = { similarity: null, firstInferenceMs: null };
  if (mode === "never") return { status: "off", text: "self-check: switched off", ...none };
  const golden = await readGolden(bundle);
  const expected = golden?.variants[runner.variant.name];
  if (golden === null || expected === undefined) {
    const text = `self-check: none: the bundle holds no golden rows for '${runner.variant.name}'`;
    return { status: "nothing to compare with", text, ...none };
  }
  const key = [
    "self-check",
    bundle.digest,
    runner.variant.name,
    runner.label,
    globalThis.navigator?.userAgent ?? "",
  ].join("|");
  if (mode === "first" && memory.get(key) === "passed") {
    return { status: "passed before", text: "self-check: passed on this machine before", ...none };
  }
  const found = await compare(runner, golden, expected);
  memory.set(key, "passed");
  return found;
}

async function compare(runner: Runner, golden: Golden, expected: GoldenVariant): Promise<SelfCheck> {
  const start = performance.now();
  const answers: Tensors[] = [];
  let firstInferenceMs = 0;
  for (const row of golden.rows) {
    try {
      answers.push(await runner.run(row));
    } catch (error) {
      if (error instanceof InputError)
        throw new RuntimeBundleError(`golden.json: a row doesn't fit the variant: ${error.message}`);
      throw error;
    }
    if (answers.length === 1) firstInferenceMs = performance.now() - start;
  }
  const similarity = Math.min(...similarities(answers, expected.outputs));
  const needed = expected.similarityMin;
  if (!(similarity >= needed))
    throw wrong(`similarity ${similarity.toFixed(4)} with the verified outputs, ${needed} is needed`);
  const { agreeing, decisive } = decisions(answers, expected, needed);
  if (agreeing < DECISIVE_SHARE * decisive)
    throw wrong(`of ${decisive} clear decisions in the verified outputs it makes ${agreeing}`);
  const text =
    `self-check: passed: ${answers.length} rows, least similarity ${similarity.toFixed(6)} with the verified ` +
    `outputs, ${needed.toFixed(4)} needed; ${agreeing} of ${decisive} clear decisions equal`;
  return { status: "passed", text, similarity, firstInferenceMs };

  function wrong(found: string): EngineError {
    return new EngineError(
      `variant '${runner.variant.name}' on ${runner.label}: self-check failed: this engine gives wrong results ` +
        `for this file: ${found} (they were made by ${expected.executedBy}). Use another variant or another engine`,
    );
  }
}

/** For each row 1 − |a − b|² / (2 · max(|a| |b|, m²)), m the median length of the expected rows (FORMAT.md). */
export function similarities(answers: readonly Tensors[], expected: readonly Tensors[]): number[] {
  const lengths = expected.map((row) => norm(flat(row, row))).sort((a, b) => a - b);
  const usual = median(lengths);
  return answers.map((answer, index) => {
    const row = expected[index] as Tensors;
    const [a, b] = [flat(answer, row), flat(row, row)];
    const sameShapes = Object.entries(row).every(
      ([name, value]) => String(answer[name]?.shape) === String(value.shape),
    );
    if (!sameShapes || !a.every(Number.isFinite)) return -1;
    const error = a.reduce((sum, value, i) => sum + (value - (b[i] as number)) ** 2, 0);
    const scale = Math.max(norm(a) * norm(b), usual ** 2);
    if (error === 0) return 1;
    return scale === 0 ? -1 : Math.max(-1, 1 - error / (2 * scale));
  });
}

/**
 * A decision is the largest number along an output's last axis; clear where it leads by more than chance could turn.
 */
function decisions(
  answers: readonly Tensors[],
  expected: GoldenVariant,
  needed: number,
): { agreeing: number; decisive: number } {
  let [agreeing, decisive] = [0, 0];
  answers.forEach((answer, index) => {
    const row = expected.outputs[index] as Tensors;
    const reference = flat(row, row);
    const allowed = norm(reference) * Math.sqrt((2 * (1 - needed)) / reference.length);
    for (const [name, right] of Object.entries(row)) {
      const size = right.shape.at(-1) ?? 1;
      if (size < 2) continue;
      const [a, b] = [floats((answer[name] as Tensor).data), floats(right.data)];
      for (let at = 0; at < b.length; at += size) {
        const wanted = b.subarray(at, at + size);
        const leader = best(wanted);
        const second = wanted.reduce((most, value, i) => (i === leader ? most : Math.max(most, value)), -Infinity);
        if (!((wanted[leader] as number) - second > DECISIVE_SIGMAS * allowed)) continue;
        decisive++;
        if (best(a.subarray(at, at + size)) === leader) agreeing++;
      }
    }
  });
  return { agreeing, decisive };
}

/** Throw EngineError where a golden text gives other inputs here than when the bundle was made. */
export function checkPreprocessing(golden: Golden | null, encoder: RowEncoder): void {
  golden?.texts.forEach((text, index) => {
    if (text === null) return;
    const made = encoder.encode(text.second === null ? text.text : [text.text, text.second], text.prompt).feeds;
    const different = Object.keys(made).filter((name) => !equal(made[name] as Tensor, golden.rows[index]?.[name]));
    if (different.length > 0) {
      throw new EngineError(
        `golden.json: row ${index}: the text '${text.text.slice(0, 40)}' gives other ` +
          `${different.join(", ")} here than ` +
          "when the bundle was made: tokenizer.json is read differently here: report it, with the bundle",
      );
    }
  });
}

function equal(a: Tensor, b: Tensor | undefined): boolean {
  return (
    b !== undefined &&
    String(a.shape) === String(b.shape) &&
    a.data.every((value: number | bigint, i: number) => value === b.data[i])
  );
}

/** All of a row's outputs, in the order of `names`, as one vector; empty where one is missing. */
function flat(row: Tensors, names: Tensors): Float64Array {
  const parts = Object.keys(names).map((name) => floats(row[name]?.data ?? new Float64Array()));
  return Float64Array.from(parts.flatMap((part) => Array.from(part)));
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2;
}
