/**
 * One measurement as JSON data: the report (version 2) that 'edgeformer report compare' reads beside those of boards.
 */

import type { Measurement } from "../measuring/measure.js";
import { MIN_RUNS_FOR_P99, summarize } from "../measuring/statistics.js";

const REPORT_VERSION = 2;
export const VERSION = "0.1.0";
const UNKNOWN = "a browser doesn't tell it";

/** What a session knows of bundle, engine and loading. */
export interface Facts {
  readonly bundleName: string;
  readonly bundleDigest: string;
  readonly variant: string;
  readonly engine: string;
  readonly threads: number;
  readonly sequenceLength: number | null;
  readonly loadMs: number;
  readonly firstInferenceMs: number | null;
  readonly delegation: readonly string[];
  readonly skipped: readonly string[];
  readonly accuracy: { readonly metric: string; readonly value: number; readonly samples: number } | null;
}

export type Report = Readonly<Record<string, unknown>>;

/** The report's data; what a browser doesn't show is null, with its reason under `reasons`. */
export function report(measurement: Measurement, facts: Facts, startedAt: Date): Report {
  const cores = globalThis.navigator?.hardwareConcurrency ?? 1;
  return {
    report_version: REPORT_VERSION,
    runtime_version: `web ${VERSION}`,
    started_at: startedAt.toISOString().replace(/\.\d+Z$/, "+00:00"),
    bundle_name: facts.bundleName,
    bundle_digest: facts.bundleDigest,
    variant: facts.variant,
    engine: facts.engine,
    threads: facts.threads,
    batch_size: 1,
    sequence_length: facts.sequenceLength,
    load_ms: facts.loadMs,
    first_inference_ms: facts.firstInferenceMs,
    delegation: facts.delegation,
    skipped: facts.skipped,
    accuracy: facts.accuracy,
    ...timesOf(measurement),
    ...unknownHere(cores),
    device: device(cores),
    reasons: reasons(measurement, facts),
  };
}

function timesOf(found: Measurement): Report {
  return {
    protocol: found.protocol,
    warmup_runs: found.warmupRuns,
    warmup_settled: found.warmupSettled,
    duration_s: found.durationS,
    latencies_ms: found.latenciesMs,
    latencies_kept_every: found.latenciesKeptEvery,
    total_runs: found.totalRuns,
    runs: found.totalRuns,
    repeats: found.repeats.map((part) => ({
      runs: part.runs,
      duration_s: part.durationS,
      p50_ms: part.p50Ms,
      energy_mj: null,
    })),
    p50_interval:
      found.p50Interval === null
        ? null
        : { ...found.p50Interval, method: `95 %, Student's t on the medians of ${found.repeats.length} repeats` },
    latency_ms: summarize(found.latenciesMs),
    throughput_per_s: found.totalRuns / found.durationS,
    invalid: found.invalid,
    notes: found.notes,
    valid: found.invalid.length === 0,
  };
}

function unknownHere(cores: number): Report {
  return {
    power: {
      status: "unavailable",
      family: "none",
      watts: null,
      scope: null,
      rail: null,
      model: null,
      looked_at: [],
      reason: "a browser gives a page no power sensor",
    },
    energy: null,
    idle_before: null,
    idle_after: null,
    thermal: null,
    clock: null,
    sustained: null,
    temperature_c: null,
    peak_rss_bytes: null,
    peak_rss_growth_bytes: null,
    throttling: { sources: [], events: [], earlier: [] },
    load: { cores, other_cores: null, load_average_before: null },
    sampling: { interval_s: null, overhead: null, overhead_low: null, overhead_high: null, turns: 0 },
  };
}

function device(cores: number): Report {
  const system = globalThis.navigator?.userAgent ?? null;
  return {
    machine: globalThis.navigator?.platform ?? null,
    system,
    device_model: null,
    cpu_model: null,
    cpu_features: [],
    logical_cores: cores,
    physical_cores: null,
    usable_cores: cores,
    memory_total_bytes: null,
    memory_available_bytes: null,
    cpu_governor: null,
    cpu_clock_mhz: null,
    cpu_max_clock_mhz: null,
    python: "none",
  };
}

function reasons(found: Measurement, facts: Facts): Record<string, string> {
  const known: [string, string | false][] = [
    ["latency_ms.p99", found.totalRuns < MIN_RUNS_FOR_P99 && `${found.totalRuns} runs, needs ${MIN_RUNS_FOR_P99}`],
    ["sequence_length", facts.sequenceLength === null && "the model's inputs have no sequence"],
    ["accuracy", facts.accuracy === null && "the bundle was compiled without labelled evaluation rows"],
    ["p50_interval", found.p50Interval === null && "one repeat has no spread: measure more runs"],
    ["energy", "there is no power reading"],
    ["throttling", "nothing here tells of throttling; the repeats may"],
    ["sampling.overhead", "there was nothing to sample"],
    ["sustained", "this runtime has no sustained run"],
    ["load.other_cores", UNKNOWN],
  ];
  for (const key of [
    "idle_before",
    "idle_after",
    "thermal",
    "clock",
    "temperature_c",
    "peak_rss_bytes",
    "peak_rss_growth_bytes",
  ]) {
    known.push([key, UNKNOWN]);
  }
  return Object.fromEntries(known.filter((pair): pair is [string, string] => pair[1] !== false));
}
