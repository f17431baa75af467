/** The model behind the page, whether it runs in a worker or in the page itself. */

import type { Report } from "../src/report/report.js";
import type { SelfCheck } from "../src/selection/self_check.js";
import { Session } from "../src/session.js";
import type { Prediction } from "../src/tasks/task.js";
import { loadEngines, loadWebGpu } from "./engines.js";
import { pageFiles, type PackedText, type PageConfig, type PageFiles } from "./files.js";
import type { Given } from "./inputs.js";

/** What was opened. */
export interface Opened {
  readonly engine: string;
  readonly threads: number;
  readonly variant: string;
  readonly sizeBytes: number;
  readonly digest: string;
  readonly check: SelfCheck;
  readonly skipped: readonly string[];
}

export interface Answer {
  readonly predictions: readonly Prediction[];
  /** Of preprocessing, inference and the task together. */
  readonly tookMs: number;
}

/** Every method throws an error whose message is for the visitor. */
export interface Model {
  /** Load the fastest variant, or with `webGpu` the one that runs on the GPU; where that fails, what was open stays. */
  open(webGpu: boolean): Promise<Opened>;
  predict(given: Given): Promise<Answer>;
  /** `wasHidden`: whether the visitor looked at something else meanwhile. */
  benchmark(progress: (message: string) => void, wasHidden: () => boolean): Promise<Report>;
}

/** The model in this thread. */
export class LocalModel implements Model {
  private readonly files: PageFiles;
  private session: Session | null = null;
  private webGpu = "WebGPU: not asked for";

  /** `where`: what the report says of the thread. */
  constructor(
    private readonly config: PageConfig,
    base: string,
    packed: PackedText,
    private readonly where: string,
  ) {
    this.files = pageFiles(config, base, packed);
  }

  async open(webGpu: boolean): Promise<Opened> {
    const before = this.session;
    try {
      const engines = await (webGpu ? loadWebGpu : loadEngines)(this.config, this.files);
      const options = { engines, selfCheck: "always", variant: this.config.variants } as const;
      this.session = await Session.open(this.files.bundle, options);
      if (webGpu) this.webGpu = "WebGPU: its golden rows agree";
    } catch (error) {
      if (webGpu) this.webGpu = `WebGPU isn't used: ${error instanceof Error ? error.message : String(error)}`;
      throw error;
    }
    await before?.close();
    const { engine, threads, variant, bundle, selfCheck: check, skipped } = this.session;
    return {
      engine,
      threads,
      variant: variant.name,
      sizeBytes: variant.sizeBytes,
      digest: bundle.digest,
      check,
      skipped,
    };
  }

  async predict({ items, options }: Given): Promise<Answer> {
    const begin = performance.now();
    const predictions = await this.opened().predict(items, options);
    return { predictions, tookMs: performance.now() - begin };
  }

  async benchmark(progress: (message: string) => void, wasHidden: () => boolean): Promise<Report> {
    const report = await this.opened().benchmark({ quick: true, progress: drawn(progress), wasHidden });
    return { ...report, delegation: [...(report["delegation"] as string[]), this.where, this.webGpu] };
  }

  private opened(): Session {
    if (this.session === null) throw new Error("the model isn't loaded");
    return this.session;
  }
}

/** Says it, and lets the page draw it and messages arrive. */
function drawn(progress: (message: string) => void): (message: string) => Promise<void> {
  return (message) => {
    progress(message);
    return new Promise((resolve) => setTimeout(resolve, 30));
  };
}
