/**
 * LiteRT for the web, from the package @litertjs/core: on the CPU by WebAssembly (XNNPACK), or on the GPU by WebGPU.
 */

import type { VariantEntry } from "../bundle/manifest.js";
import { EngineError } from "../errors.js";
import { record } from "../bundle/json_fields.js";
import { cast, type Data, type DType, type Tensor, type Tensors } from "../tensor.js";
import { threadsAllowed, Turns, versionProblem, type Engine, type LoadedModel } from "./engine.js";

const IDENTIFIER = "TFL3"; // of a TensorFlow Lite flatbuffer, behind the four bytes that point at its root

type Accelerator = "wasm" | "webgpu";

interface LiteRtTensor {
  data(): Promise<unknown>;
  delete(): void;
}

interface Details {
  readonly name: string;
  readonly dtype: string;
  readonly shape: ArrayLike<number>;
}

interface Runner {
  getInputDetails(): readonly Details[];
  getOutputDetails(): readonly Details[];
  run(feeds: Record<string, never>): Promise<Readonly<Record<string, LiteRtTensor>>>;
}

interface Model extends Runner {
  readonly signatures: Readonly<Record<string, Runner>>;
  delete(): void;
}

/** What is used of the package, once `loadLiteRt` has found its wasm: `import * as litert from "@litertjs/core"`. */
export interface LiteRtModule {
  loadAndCompile(content: Uint8Array, options: { accelerator: Accelerator }): Promise<unknown>;
  readonly Tensor: { fromTypedArray(data: never, shape: number[]): unknown };
}

/**
 * `threads` as `loadLiteRt` was told; `version` of the package, which it doesn't say itself. With the accelerator
 * "webgpu", which `checkWebGpu` should have looked for, only results that golden rows vouch for are taken.
 */
export class LiteRt implements Engine {
  readonly name = "litert";
  readonly threads: number;
  readonly label: string;
  readonly mustAgree: boolean;
  private readonly version: string | null;
  private readonly accelerator: Accelerator;

  constructor(
    private readonly litert: LiteRtModule,
    options: { threads?: number; version?: string; accelerator?: Accelerator } = {},
  ) {
    this.threads = threadsAllowed(options.threads ?? 1);
    this.version = options.version ?? null;
    this.accelerator = options.accelerator ?? "wasm";
    this.mustAgree = this.accelerator === "webgpu";
    this.label = `@litertjs/core ${this.version ?? "of unknown version"} (${this.accelerator})`;
  }

  problem(variant: VariantEntry): string | null {
    return versionProblem("@litertjs/core", this.version, variant.minEngineVersion);
  }

  async load(content: Uint8Array, variant: VariantEntry): Promise<LoadedModel> {
    const head = String.fromCharCode(...content.subarray(4, 8));
    if (head !== IDENTIFIER)
      throw new EngineError(`variant '${variant.name}': expected '${IDENTIFIER}' at byte 4, got '${head}'`);
    try {
      const model = (await this.litert.loadAndCompile(content, { accelerator: this.accelerator })) as Model;
      return new LiteRtLoaded(this.litert, model, this.label);
    } catch (error) {
      throw new EngineError(`variant '${variant.name}': ${this.label} can't load its file: ${String(error)}`);
    }
  }
}

/** A model with one signature a length. */
class LiteRtLoaded implements LoadedModel {
  readonly delegation: readonly string[] = [];
  private readonly turns = new Turns();
  private readonly runners: readonly Runner[];
  private model: Model | null;

  constructor(
    private readonly litert: LiteRtModule,
    model: Model,
    readonly label: string,
  ) {
    this.model = model;
    const signatures = Object.values(model.signatures);
    this.runners = signatures.length > 0 ? signatures : [model];
  }

  run(feeds: Tensors): Promise<Tensors> {
    return this.turns.take(async () => {
      if (this.model === null) throw new EngineError(`${this.label}: the model is closed`);
      const runner = this.runners.find((item) => takes(item, feeds));
      if (runner === undefined) throw new EngineError(`${this.label}: no signature takes ${shapes(feeds)}`);
      try {
        return await this.call(runner, feeds);
      } catch (error) {
        throw error instanceof EngineError
          ? error
          : new EngineError(`${this.label}: inference failed: ${String(error)}`);
      }
    });
  }

  private async call(runner: Runner, feeds: Tensors): Promise<Tensors> {
    const given: Record<string, LiteRtTensor> = {};
    let found: Readonly<Record<string, LiteRtTensor>> = {};
    try {
      // A converter drops an input that the model never uses, so feeds may have more names than the file.
      for (const { name, dtype } of runner.getInputDetails()) {
        const value = cast(feeds[name] as Tensors[string], dtype as DType);
        given[name] = this.litert.Tensor.fromTypedArray(value.data as never, [...value.shape]) as LiteRtTensor;
      }
      found = await runner.run(given as Record<string, never>);
      const outputs: [string, Tensor][] = [];
      for (const { name, dtype, shape } of runner.getOutputDetails()) {
        const data = (await (found[name] as LiteRtTensor).data()) as Data;
        outputs.push([name, { dtype: dtype as DType, shape: Array.from(shape), data: data.slice() as Data }]);
      }
      return record(outputs);
    } finally {
      for (const value of [...Object.values(given), ...Object.values(found)]) value.delete();
    }
  }

  close(): Promise<void> {
    return this.turns.take(async () => {
      this.model?.delete();
      this.model = null;
    });
  }
}

function takes(runner: Runner, feeds: Tensors): boolean {
  return runner.getInputDetails().every(({ name, shape }) => {
    const given = feeds[name]?.shape;
    return given?.length === shape.length && given.every((size, axis) => shape[axis] === -1 || shape[axis] === size);
  });
}

function shapes(feeds: Tensors): string {
  return Object.entries(feeds)
    .map(([name, value]) => `${name} [${value.shape.join(", ")}]`)
    .join("; ");
}
