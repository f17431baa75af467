/** Summaries of latencies; percentiles interpolate linearly between neighbours, as numpy's do. */

import { InputError } from "../errors.js";

export const MIN_RUNS_FOR_P99 = 1000;

// Student's t, 97.5 % quantile, for 1, 2, … 9 degrees of freedom
const T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

export interface LatencySummary {
  readonly mean: number;
  readonly stdev: number | null;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number | null;
  readonly max: number;
}

/** Statistics of at least one latency; p99 is null below 1,000 runs, stdev below two. */
export function summarize(latenciesMs: readonly number[]): LatencySummary {
  if (latenciesMs.length === 0 || !latenciesMs.every((value) => Number.isFinite(value) && value >= 0)) {
    throw new InputError("latencies: expected at least one duration of 0 ms or more");
  }
  const sorted = [...latenciesMs].sort((a, b) => a - b);
  return {
    mean: mean(sorted),
    stdev: stdev(sorted),
    min: sorted[0] as number,
    p50: percentile(sorted, 50),
    p90: percentile(sorted, 90),
    p95: percentile(sorted, 95),
    p99: sorted.length >= MIN_RUNS_FOR_P99 ? percentile(sorted, 99) : null,
    max: sorted.at(-1) as number,
  };
}

export function median(values: readonly number[]): number {
  return percentile(
    [...values].sort((a, b) => a - b),
    50,
  );
}

/** (largest − smallest) / median of repeats; null below two, or where the median is 0. */
export function spread(values: readonly number[]): number | null {
  const middle = median(values);
  return values.length < 2 || middle === 0 ? null : (Math.max(...values) - Math.min(...values)) / middle;
}

/** `centre` ± t·s/√n of n repeats, for 95 %, never below zero; null below two. At most ten repeats. */
export function tInterval(centre: number, repeats: readonly number[]): { low: number; high: number } | null {
  const deviation = stdev(repeats);
  if (deviation === null) return null;
  const half = (deviation / Math.sqrt(repeats.length)) * (T_975[repeats.length - 2] as number);
  return { low: Math.max(0, centre - half), high: centre + half };
}

function percentile(sorted: readonly number[], share: number): number {
  const place = ((sorted.length - 1) * share) / 100;
  const low = sorted[Math.floor(place)] as number;
  return low + (place % 1) * ((sorted[Math.ceil(place)] as number) - low);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function stdev(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
