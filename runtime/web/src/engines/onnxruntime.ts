/** ONNX Runtime's build for the web, from the package onnxruntime-web, on the CPU by WebAssembly. */

import type { VariantEntry } from "../bundle/manifest.js";
import { EngineError } from "../errors.js";
import { record } from "../bundle/json_fields.js";
import { cast, halfBits, ofHalfBits, type Data, type DType, type Tensor, type Tensors } from "../tensor.js";
import { threadsAllowed, Turns, versionProblem, type Engine, type LoadedModel } from "./engine.js";

/** What is used of the package: `import * as ort from "onnxruntime-web/wasm"`. */
export interface OnnxRuntimeModule {
  readonly env: {
    readonly wasm: { numThreads?: number; wasmPaths?: unknown; wasmBinary?: ArrayBufferLike | Uint8Array | undefined };
    readonly versions: { readonly common?: string; readonly web?: string };
    logLevel?: string | undefined;
  };
  readonly InferenceSession: { create(content: Uint8Array, options?: object): Promise<OnnxSession> };
  readonly Tensor: new (dtype: never, data: never, shape: readonly number[]) => object;
}

interface OnnxSession {
  readonly inputNames: readonly string[];
  readonly inputMetadata?: readonly unknown[];
  run(feeds: never): Promise<Readonly<Record<string, unknown>>>;
  release(): Promise<void>;
}

interface OnnxTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
  dispose?(): void;
}

/** `threads`: more than 1 needs a page that is cross-origin isolated; elsewhere 1 is taken, and the session says so. */
export class OnnxRuntime implements Engine {
  readonly name = "onnxruntime";
  readonly threads: number;
  readonly label: string;

  constructor(
    private readonly ort: OnnxRuntimeModule,
    options: { threads?: number } = {},
  ) {
    this.threads = threadsAllowed(options.threads ?? 1);
    this.label = `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common ?? "of unknown version"} (wasm)`;
    ort.env.wasm.numThreads = this.threads;
    ort.env.logLevel = "error";
  }

  problem(variant: VariantEntry): string | null {
    const { web, common } = this.ort.env.versions;
    return versionProblem("onnxruntime-web", web ?? common ?? null, variant.minEngineVersion);
  }

  async load(content: Uint8Array, variant: VariantEntry): Promise<LoadedModel> {
    try {
      const session = await this.ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
      return new OnnxModel(this.ort, session, this.label);
    } catch (error) {
      throw new EngineError(`variant '${variant.name}': ${this.label} can't load its file: ${String(error)}`);
    }
  }
}

class OnnxModel implements LoadedModel {
  readonly delegation: readonly string[] = [];
  private readonly turns = new Turns();
  private session: OnnxSession | null;

  constructor(
    private readonly ort: OnnxRuntimeModule,
    session: OnnxSession,
    readonly label: string,
  ) {
    this.session = session;
  }

  run(feeds: Tensors): Promise<Tensors> {
    return this.turns.take(async () => {
      if (this.session === null) throw new EngineError(`${this.label}: the model is closed`);
      try {
        const given = this.session.inputNames.map((name) => [name, this.given(feeds[name] as Tensor)]);
        const found = await this.session.run(Object.fromEntries(given) as never);
        return record(Object.entries(found).map(([name, value]) => [name, taken(name, value as OnnxTensor)]));
      } catch (error) {
        throw error instanceof EngineError
          ? error
          : new EngineError(`${this.label}: inference failed: ${String(error)}`);
      }
    });
  }

  close(): Promise<void> {
    return this.turns.take(async () => {
      await this.session?.release();
      this.session = null;
    });
  }

  private given(value: Tensor): object {
    const data = value.dtype === "float16" ? halfBits(value.data as Float32Array) : value.data;
    return new this.ort.Tensor(value.dtype as never, data as never, value.shape);
  }
}

function taken(name: string, value: OnnxTensor): Tensor {
  const dtype = value.type as DType;
  const data = dtype === "float16" && !(value.data instanceof Float32Array) ? halves(value.data) : (value.data as Data);
  if (!ArrayBuffer.isView(data)) throw new EngineError(`output '${name}' of type ${dtype}: expected numbers`);
  const own = cast({ dtype, shape: [...value.dims], data: data.slice() as Data }, dtype);
  value.dispose?.();
  return own;
}

/** Newer browsers give halves as numbers, others as bits. */
function halves(data: unknown): Float32Array {
  return data instanceof Uint16Array ? ofHalfBits(data) : Float32Array.from(data as ArrayLike<number>);
}
