/**
 * Which variant of a bundle to run here: of those that can run and pass their golden rows, the fastest, by measuring.
 */

import type { Bundle } from "../bundle/bundle.js";
import { variantOf, type VariantEntry } from "../bundle/manifest.js";
import type { Engine } from "../engines/engine.js";
import { EngineError, InputError } from "../errors.js";
import { median } from "../measuring/statistics.js";
import { predictionInputs, syntheticFeeds, typicalSizes } from "./feeds.js";
import { cannotRun, openRunner, type Runner } from "./graphs_runner.js";
import type { Memory } from "./memory.js";
import { selfCheck, type SelfCheck, type SelfCheckMode } from "./self_check.js";

const TRIAL_WARMUP_RUNS = 3;
const TRIAL_RUNS = 7;

/** A variant in memory. Times in milliseconds. */
export interface Loaded {
  readonly variant: VariantEntry;
  readonly engine: Engine;
  readonly runner: Runner;
  readonly loadMs: number;
  readonly check: SelfCheck;
}

export interface LoadOptions {
  readonly engines: readonly Engine[];
  readonly selfCheck: SelfCheckMode;
  readonly memory: Memory;
}

/**
 * Load the variant called `name`; throws InputError for one that isn't there, EngineError for one that can't run here.
 */
export async function loadNamed(bundle: Bundle, name: string, options: LoadOptions): Promise<Loaded> {
  const variant = variantOf(bundle.manifest, name);
  const found = engineFor(variant, options.engines);
  if (typeof found === "string") throw new EngineError(`variant '${name}' can't run here: ${found}`);
  return load(bundle, variant, found, options);
}

/**
 * The fastest variant here, and why others were not used, a sentence each. `among`: names of those that are looked at,
 * null for all. Throws EngineError when nothing is usable.
 */
export async function choose(
  bundle: Bundle,
  options: LoadOptions,
  among: readonly string[] | null,
): Promise<{ loaded: Loaded; skipped: string[] }> {
  const skipped = bundle.manifest.skipped
    .filter((item) => item.part === "variant")
    .map((item) => `${item.name}: ${item.reason}`);
  const usable: [VariantEntry, Engine][] = [];
  for (const variant of bundle.manifest.variants) {
    const asked = among === null || among.includes(variant.name);
    const engine = asked ? engineFor(variant, options.engines) : "it wasn't asked for";
    if (typeof engine === "string") skipped.push(`${variant.name}: ${engine}`);
    else usable.push([variant, engine]);
  }
  const key = choiceKey(bundle, usable);
  const remembered = usable.length > 1 ? await loadRemembered(bundle, usable, options.memory.get(key), options) : null;
  if (remembered !== null) {
    const note = `slower than ${remembered.variant.name} when measured here before`;
    const others = usable
      .filter(([variant]) => variant !== remembered.variant)
      .map(([variant]) => `${variant.name}: ${note}`);
    return { loaded: remembered, skipped: [...skipped, ...others] };
  }
  const loaded: Loaded[] = [];
  for (const [variant, engine] of usable) {
    try {
      loaded.push(await load(bundle, variant, engine, options));
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      skipped.push(`${variant.name}: ${error.message}`);
    }
  }
  const best = await fastest(bundle, loaded, skipped);
  if (loaded.length > 1) options.memory.set(key, best.variant.name);
  return { loaded: best, skipped };
}

/** The engine that a variant is made for, or why there is none. */
function engineFor(variant: VariantEntry, engines: readonly Engine[]): Engine | string {
  const reason = cannotRun(variant);
  if (reason !== null) return reason;
  const engine = engines.find((item) => item.name === variant.engine);
  if (engine !== undefined) return engine.problem(variant) ?? engine;
  if (["onnxruntime", "litert"].includes(variant.engine))
    return `it is made for ${variant.engine}, and that engine wasn't given`;
  return `it is made for ${variant.engine}, which runs in no browser`;
}

async function load(bundle: Bundle, variant: VariantEntry, engine: Engine, options: LoadOptions): Promise<Loaded> {
  const start = performance.now();
  const runner = await openRunner(bundle, variant, engine);
  const loadMs = performance.now() - start;
  try {
    const check = await selfCheck(bundle, runner, options.selfCheck, options.memory);
    if (engine.mustAgree === true && !check.status.startsWith("passed"))
      throw new EngineError(`variant '${variant.name}': ${engine.label} is used with golden rows alone: ${check.text}`);
    return { variant, engine, runner, loadMs, check };
  } catch (error) {
    await runner.close();
    throw error;
  }
}

async function loadRemembered(
  bundle: Bundle,
  usable: readonly [VariantEntry, Engine][],
  name: string | null,
  options: LoadOptions,
): Promise<Loaded | null> {
  for (const [variant, engine] of usable) {
    if (variant.name !== name) continue;
    try {
      return await load(bundle, variant, engine, options);
    } catch (error) {
      if (error instanceof EngineError) return null; // memory or the engine changed since: measure again
      throw error;
    }
  }
  return null;
}

/** The fastest of `loaded`; the others are closed, and why goes to `skipped`. */
async function fastest(bundle: Bundle, loaded: readonly Loaded[], skipped: string[]): Promise<Loaded> {
  if (loaded.length === 1) return loaded[0] as Loaded;
  const variants = loaded.map((item) => item.variant);
  const feeds = syntheticFeeds(predictionInputs(bundle.manifest), typicalSizes(bundle.manifest, variants));
  const latencies = new Map<Loaded, number[]>(loaded.map((item) => [item, []]));
  for (let round = 0; round < TRIAL_WARMUP_RUNS + TRIAL_RUNS; round++) {
    for (const [item, values] of latencies) {
      try {
        const start = performance.now();
        await item.runner.run(feeds);
        values.push(performance.now() - start);
      } catch (error) {
        if (!(error instanceof EngineError || error instanceof InputError)) throw error;
        latencies.delete(item);
        skipped.push(`${item.variant.name}: ${error.message}`);
        await item.runner.close();
      }
    }
  }
  const ranked = [...latencies]
    .map(([item, values]) => ({ item, ms: median(values.slice(TRIAL_WARMUP_RUNS)) }))
    .sort((a, b) => a.ms - b.ms);
  const [first, ...others] = ranked;
  if (first === undefined)
    throw new EngineError(
      `bundle '${bundle.manifest.name}': no variant can run here: ${skipped.join("; ")}; ` +
        "'edgeformer inspect BUNDLE --for web' says what to add",
    );
  for (const { item, ms } of others) {
    skipped.push(
      `${item.variant.name}: ${ms.toFixed(3)} ms, slower than ${first.item.variant.name} at ${first.ms.toFixed(3)} ms`,
    );
    await item.runner.close();
  }
  return first.item;
}

function choiceKey(bundle: Bundle, usable: readonly [VariantEntry, Engine][]): string {
  const engines = usable.map(([variant, engine]) => `${variant.name}:${engine.label}:${engine.threads}`);
  return ["choice", bundle.digest, ...engines, globalThis.navigator?.userAgent ?? ""].join("|");
}
