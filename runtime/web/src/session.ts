/** A bundle opened for running, on the engine that is fastest here. */

import { Bundle } from "./bundle/bundle.js";
import { SEQUENCE, type Manifest, type VariantEntry } from "./bundle/manifest.js";
import type { BundleSource } from "./bundle/source.js";
import type { Engine } from "./engines/engine.js";
import { ClosedError, InputError } from "./errors.js";
import { measure, QUICK, STANDARD, type Progress } from "./measuring/measure.js";
import { openTextEncoder, Predictor, type Item, type PredictOptions } from "./predictor.js";
import type { Encoded } from "./tasks/encoded.js";
import { report, type Report } from "./report/report.js";
import type { Kind, Prediction } from "./tasks/task.js";
import type { Embedding } from "./tasks/feature_extraction.js";
import type { Tensors } from "./tensor.js";
import { predictionInputs, syntheticFeeds, typicalSizes } from "./selection/feeds.js";
import { defaultMemory, type Memory } from "./selection/memory.js";
import { choose, loadNamed, type Loaded } from "./selection/selection.js";
import type { SelfCheck, SelfCheckMode } from "./selection/self_check.js";
import type { TextEncoder as RowEncoder } from "./text/text_encoder.js";

export interface SessionOptions {
  /** `new OnnxRuntime(ort)`, `new LiteRt(litert)`: what may run variants, in any order. */
  readonly engines: readonly Engine[];
  /**
   * A name, or "auto": the fastest that gives right results, by a short trial whose outcome is remembered; of a list,
   * of its names.
   */
  readonly variant?: string | readonly string[];
  /** Public keys (PEM text): the bundle must then be signed with one of them. */
  readonly keys?: readonly string[];
  /** Golden rows are run "first" (once a bundle, engine and browser), "always" or "never". */
  readonly selfCheck?: SelfCheckMode;
  /** Where choices are remembered; the browser's localStorage where there is one. */
  readonly memory?: Memory;
  /** Told, a sentence each, what was done to an item: a sound resampled, channels averaged. */
  readonly say?: (note: string) => void;
}

export interface BenchmarkOptions {
  readonly quick?: boolean;
  /** Of the synthetic rows; by default what the bundle's rows have. */
  readonly sequenceLength?: number;
  readonly progress?: Progress;
  /** For a session in a worker, which can't see it: whether the page was hidden since the measurement began. */
  readonly wasHidden?: () => boolean;
}

/**
 * Every method throws ClosedError after `close`, InputError for what the model can't take, EngineError when its engine
 * fails.
 */
export class Session {
  private predictor: Predictor | null = null;
  private firstInferenceMs: number | null;
  private closing: Promise<void> | null = null;
  private inside = 0; // calls that `close` waits for
  private emptied: (() => void) | null = null;

  private constructor(
    readonly bundle: Bundle,
    private readonly texts: RowEncoder | null,
    private readonly loaded: Loaded,
    /** Variants that are not used, each with the reason. */
    readonly skipped: readonly string[],
    private readonly say: (note: string) => void,
  ) {
    this.firstInferenceMs = loaded.check.firstInferenceMs;
  }

  /**
   * Open and verify a bundle, read its tokenizer where it has one, and load one variant. Throws RuntimeBundleError with
   * a code, also where the tokenizer has a part or a setting that this runtime doesn't know, EngineError where nothing
   * can run it.
   */
  static async open(source: BundleSource, options: SessionOptions): Promise<Session> {
    const { variant = "auto", engines } = options;
    const bundle = await Bundle.open(source, options.keys);
    const how = { engines, selfCheck: options.selfCheck ?? "first", memory: options.memory ?? defaultMemory() };
    try {
      const texts = await openTextEncoder(bundle); // before an engine: what is refused costs no load of a model
      const { loaded, skipped } =
        typeof variant === "string" && variant !== "auto"
          ? { loaded: await loadNamed(bundle, variant, how), skipped: [] }
          : await choose(bundle, how, variant === "auto" ? null : (variant as readonly string[]));
      return new Session(bundle, texts, loaded, skipped, options.say ?? (() => undefined));
    } catch (error) {
      bundle.close();
      throw error;
    }
  }

  get manifest(): Manifest {
    return this.bundle.manifest;
  }

  get variant(): VariantEntry {
    return this.loaded.variant;
  }

  /** Package, version and what it runs on. */
  get engine(): string {
    return this.loaded.runner.label;
  }

  get threads(): number {
    return this.loaded.engine.threads;
  }

  /** How the comparison with the verified outputs ended. */
  get selfCheck(): SelfCheck {
    return this.loaded.check;
  }

  /**
   * What `predict` takes: ["text"], ["image"], ["audio"] or ["image", "text"]. Throws InputError where only tensors go
   * in.
   */
  get reads(): readonly Kind[] {
    return this.predicting().task.kinds;
  }

  /** One inference: {input name: tensor} to {output name: tensor}, shapes and dtypes as in the manifest. */
  async run(feeds: Tensors): Promise<Tensors> {
    return this.within(() => this.runInside(feeds));
  }

  private async runInside(feeds: Tensors): Promise<Tensors> {
    const start = performance.now();
    const outputs = await this.loaded.runner.run(feeds);
    this.firstInferenceMs ??= performance.now() - start;
    return outputs;
  }

  /** The task's result for each item: Classification, Regression, Embedding, Answer, … */
  async predict(items: readonly Item[], options: PredictOptions = {}): Promise<Prediction[]> {
    return this.within(() => this.predicting().predict(items, options));
  }

  /** The vector of each item; a model may embed pictures and texts, and all of its vectors are comparable. */
  async embed(items: readonly Item[], kind: Kind, prompt: string | null = null): Promise<Embedding[]> {
    return this.within(() => this.predicting().embed(items, kind, prompt));
  }

  /** What preprocessing makes of an item: `feeds` go into `run`. */
  async encode(item: Item, prompt: string | null = null): Promise<Encoded> {
    return this.within(() => this.predicting().encodeItem(item, prompt));
  }

  /**
   * Measure single rows by the protocol of edgeformer-runtime, about 30 s (`quick`: 1 s or more), and report. The page
   * should be in front, and nothing else use the session meanwhile.
   */
  async benchmark(options: BenchmarkOptions = {}): Promise<Report> {
    return this.within(() => this.measured(options));
  }

  private async measured(options: BenchmarkOptions): Promise<Report> {
    const startedAt = new Date();
    const sizes = typicalSizes(this.manifest, [this.variant]);
    if (options.sequenceLength !== undefined) {
      if (!(SEQUENCE in sizes))
        throw new InputError(`sequenceLength: the inputs of '${this.manifest.name}' have no sequence`);
      sizes[SEQUENCE] = options.sequenceLength;
    }
    const feeds = syntheticFeeds(predictionInputs(this.manifest), sizes);
    await this.runInside(feeds);
    const found = await measure(
      () => this.loaded.runner.run(feeds),
      options.quick === true ? QUICK : STANDARD,
      options.progress,
      options.wasHidden,
    );
    return report(found, this.facts(sizes[SEQUENCE] ?? null), startedAt);
  }

  /** Release the model. Calling it twice is harmless; calls that are inside end well. */
  close(): Promise<void> {
    return (this.closing ??= this.release());
  }

  private async release(): Promise<void> {
    if (this.inside > 0) await new Promise<void>((resolve) => (this.emptied = resolve));
    this.predictor = null;
    await this.loaded.runner.close();
    this.bundle.close();
  }

  private facts(asked: number | null): Parameters<typeof report>[1] {
    const lengths = this.variant.lengths[SEQUENCE] ?? [];
    const length = asked === null ? null : (lengths.find((made) => made >= asked) ?? asked);
    const notes =
      length === asked ? [] : [`${asked} positions were asked for: the variant is made for ${length} and pads to them`];
    const isolated = globalThis.crossOriginIsolated ?? true;
    const threads = isolated
      ? []
      : ["one thread: the page isn't cross-origin isolated (COOP and COEP headers), so there are no more"];
    const { metricName, metric, samples } = this.variant.verification ?? { metricName: null, metric: null, samples: 0 };
    return {
      bundleName: this.manifest.name,
      bundleDigest: this.bundle.digest,
      variant: this.variant.name,
      engine: this.engine,
      threads: this.threads,
      sequenceLength: length,
      loadMs: this.loaded.loadMs,
      firstInferenceMs: this.firstInferenceMs,
      delegation: [...notes, ...threads, ...this.loaded.runner.delegation, this.selfCheck.text],
      skipped: this.skipped,
      accuracy: metricName === null || metric === null ? null : { metric: metricName, value: metric, samples },
    };
  }

  private predicting(): Predictor {
    this.checkOpen();
    const checks = this.loaded.check.status !== "off";
    const run = (feeds: Tensors): Promise<Tensors> => this.runInside(feeds);
    return (this.predictor ??= new Predictor(this.bundle, this.texts, run, checks, this.say));
  }

  /** What `work` gives; `close` waits for it. */
  private async within<T>(work: () => Promise<T>): Promise<T> {
    this.checkOpen();
    this.inside++;
    try {
      return await work();
    } finally {
      this.inside--;
      if (this.inside === 0) this.emptied?.();
    }
  }

  private checkOpen(): void {
    if (this.closing !== null)
      throw new ClosedError(`session of '${this.bundle.manifest.name}': is closed: open it again`);
  }
}
