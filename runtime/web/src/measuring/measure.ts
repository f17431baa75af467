/**
 * The measurement protocol of edgeformer-runtime, as far as a browser lets it: warm-up until steady, equal repeats of a
 * timed loop, a judgement. A browser shows neither watts nor temperature nor clock; what isn't known is null with a
 * reason.
 */

import { median, spread, tInterval } from "./statistics.js";

const MIN_WARMUP_RUNS = 10;
const MAX_WARMUP_RUNS = 1000;
const MAX_WARMUP_S = 30;
const STEADY_CHANGE = 0.02; // of the rolling median, between one window and the next
const [WINDOW_RUNS, MAX_WINDOW_RUNS] = [5, 500];
const MAX_SPREAD = 0.05; // of the repeats' medians: beyond it the machine wasn't quiet
const MAX_KEPT = 20_000; // latencies: more are thinned out evenly
const NOTED_CLOCK_STEP = 0.01; // of the median

/** How long each part takes. A repeat lasts until both least amounts are reached, or `repeatLimitS` with 3 runs. */
export interface Protocol {
  readonly name: string;
  readonly warmupS: number;
  readonly repeats: number;
  readonly repeatRuns: number;
  readonly repeatS: number;
  readonly repeatLimitS: number;
}

export const STANDARD: Protocol = {
  name: "standard",
  warmupS: 5,
  repeats: 5,
  repeatRuns: 20,
  repeatS: 4,
  repeatLimitS: 60,
};
export const QUICK: Protocol = {
  name: "quick",
  warmupS: 0.3,
  repeats: 3,
  repeatRuns: 10,
  repeatS: 0.3,
  repeatLimitS: 10,
};

export interface Repeat {
  readonly runs: number;
  readonly durationS: number;
  readonly p50Ms: number;
}

/** What a run of the protocol found. `invalid`: why the figures don't count; empty when they do. */
export interface Measurement {
  readonly protocol: string;
  readonly warmupRuns: number;
  readonly warmupSettled: boolean;
  readonly latenciesMs: readonly number[];
  readonly latenciesKeptEvery: number;
  readonly totalRuns: number;
  readonly durationS: number;
  readonly repeats: readonly Repeat[];
  readonly p50Interval: { readonly low: number; readonly high: number } | null;
  readonly invalid: readonly string[];
  readonly notes: readonly string[];
}

type Run = () => Promise<unknown>;
/** Told what is being done; waited for, so that a page can draw it. */
export type Progress = (message: string) => unknown;

/**
 * Measure `run`, one inference a call. `progress` is told what is being done; `wasHidden` says, of a worker, whether
 * the page was hidden; `now`: a clock in ms.
 */
export async function measure(
  run: Run,
  protocol: Protocol,
  progress: Progress = () => undefined,
  wasHidden: (() => boolean) | null = null,
  now: () => number = () => performance.now(),
): Promise<Measurement> {
  const watch = wasHidden === null ? new VisibilityWatch() : { wasHidden };
  await progress(`warming up, at least ${protocol.warmupS} s`);
  const warmup = await warmUp(run, protocol.warmupS, now);
  const all: number[] = [];
  const repeats: Repeat[] = [];
  for (let index = 0; index < protocol.repeats; index++) {
    await progress(`timing, repeat ${index + 1} of ${protocol.repeats}`);
    const { latencies, durationS } = await timed(run, protocol, now);
    all.push(...latencies);
    repeats.push({ runs: latencies.length, durationS, p50Ms: median(latencies) });
  }
  const step = Math.max(1, Math.ceil(all.length / MAX_KEPT));
  const latenciesMs = all.filter((_, index) => index % step === 0).map((value) => Math.round(value * 1e6) / 1e6);
  return {
    protocol: protocol.name,
    warmupRuns: warmup.runs,
    warmupSettled: warmup.settled,
    latenciesMs,
    latenciesKeptEvery: step,
    totalRuns: all.length,
    durationS: repeats.reduce((sum, repeat) => sum + repeat.durationS, 0),
    repeats,
    p50Interval: tInterval(
      median(latenciesMs),
      repeats.map((repeat) => repeat.p50Ms),
    ),
    ...judge(protocol, warmup, repeats, watch.wasHidden(), clockStep(now)),
  };
}

/** At least 10 runs and so many seconds, then until the median of the last tenth moves less than 2 %. */
async function warmUp(run: Run, leastS: number, now: () => number): Promise<{ runs: number; settled: boolean }> {
  const latencies: number[] = [];
  const begin = now();
  for (;;) {
    const start = now();
    await run();
    const end = now();
    latencies.push(end - start);
    const [runs, seconds] = [latencies.length, (end - begin) / 1e3];
    if (runs < MIN_WARMUP_RUNS || seconds < leastS) continue;
    if (isSteady(latencies)) return { runs, settled: true };
    if (seconds > MAX_WARMUP_S || runs >= MAX_WARMUP_RUNS) return { runs, settled: false };
  }
}

function isSteady(latencies: readonly number[]): boolean {
  const window = Math.min(Math.max(WINDOW_RUNS, Math.floor(latencies.length / 10)), MAX_WINDOW_RUNS);
  const [before, now] = [median(latencies.slice(-2 * window, -window)), median(latencies.slice(-window))];
  return Math.abs(now - before) <= STEADY_CHANGE * before;
}

async function timed(
  run: Run,
  protocol: Protocol,
  now: () => number,
): Promise<{ latencies: number[]; durationS: number }> {
  const latencies: number[] = [];
  const begin = now();
  for (;;) {
    const start = now();
    await run();
    const end = now();
    latencies.push(end - start);
    const durationS = (end - begin) / 1e3;
    const enough = latencies.length >= protocol.repeatRuns && durationS >= protocol.repeatS;
    if (enough || (latencies.length >= 3 && durationS >= protocol.repeatLimitS)) return { latencies, durationS };
  }
}

function judge(
  protocol: Protocol,
  warmup: { runs: number; settled: boolean },
  repeats: readonly Repeat[],
  hidden: boolean,
  stepMs: number,
): { invalid: string[]; notes: string[] } {
  const [invalid, notes]: [string[], string[]] = [[], []];
  const medians = repeats.map((repeat) => repeat.p50Ms);
  const apart = spread(medians);
  if (apart !== null && apart > MAX_SPREAD) {
    invalid.push(
      `the machine wasn't quiet: medians of the ${medians.length} repeats lie ` +
        `${(100 * apart).toFixed(1)} % apart, at most ` +
        `${100 * MAX_SPREAD} % is allowed`,
    );
  }
  if (hidden) invalid.push("the page was hidden meanwhile, and browsers slow down hidden pages: keep it in front");
  if (!warmup.settled) notes.push(`latency was still moving after ${warmup.runs} runs of warm-up`);
  if (stepMs > NOTED_CLOCK_STEP * median(medians))
    notes.push(`the browser's clock moves in steps of ${stepMs.toFixed(3)} ms`);
  if (protocol.name === "quick") notes.push("a quick look: measure with the standard protocol for figures to publish");
  return { invalid, notes };
}

/** The smallest step of the clock, in ms. Browsers coarsen it in pages that aren't cross-origin isolated. */
function clockStep(now: () => number): number {
  let least = Infinity;
  for (let found = 0, last = now(), looks = 0; found < 20 && looks < 1e6; looks++) {
    const next = now();
    if (next > last) {
      least = Math.min(least, next - last);
      last = next;
      found++;
    }
  }
  return least === Infinity ? 0 : least;
}

class VisibilityWatch {
  private hidden = globalThis.document?.visibilityState === "hidden";

  constructor() {
    globalThis.document?.addEventListener("visibilitychange", this.look);
  }

  private readonly look = (): void => {
    this.hidden ||= globalThis.document.visibilityState === "hidden";
  };

  wasHidden(): boolean {
    globalThis.document?.removeEventListener("visibilitychange", this.look);
    return this.hidden;
  }
}
