/**
 * Feeding a loaded graph: from tensors of any batch and sequence to the shapes that its file has, and back.
 *
 * FORMAT.md, "Padding" and "Splitting".
 */

import { BATCH, type TensorSpec, type VariantEntry } from "../bundle/manifest.js";
import { record } from "../bundle/json_fields.js";
import type { LoadedModel } from "../engines/engine.js";
import { EngineError, InputError } from "../errors.js";
import { cast, castsSafely, type Tensor, type Tensors } from "../tensor.js";
import { joined, padded, picked, trimmed } from "./shapes.js";

type Sizes = Readonly<Record<string, number>>;

/** Runs one loaded graph on tensors of any batch and any length that it can take. */
export class VariantRunner {
  constructor(
    readonly model: LoadedModel,
    readonly variant: VariantEntry,
    readonly inputs: readonly TensorSpec[],
    readonly outputs: readonly TensorSpec[],
  ) {}

  /**
   * {input name: tensor} to {output name: tensor}, with the shapes and dtypes of the manifest.
   *
   * Throws InputError for names, dtypes, shapes or lengths that the variant can't take, EngineError when the engine
   * fails or returns something other than the manifest says.
   */
  async run(feeds: Tensors): Promise<Tensors> {
    this.checkNames(feeds);
    const dims = this.dimsOf(feeds);
    const grown = this.grown(dims);
    const filled = record(
      this.inputs.map((spec) => {
        const given = feeds[spec.name] as Tensor;
        if (!castsSafely(given.dtype, spec.dtype)) {
          throw new InputError(
            `input '${spec.name}': expected ${spec.dtype}, got ${given.dtype}, which doesn't fit without loss`,
          );
        }
        return [spec.name, padded(cast(given, spec.dtype), spec, grown)];
      }),
    );
    const results = await this.split(filled, dims[BATCH]);
    return record(
      this.outputs.map((spec) => [spec.name, this.finished(spec, results[spec.name] as Tensor, dims, grown)]),
    );
  }

  close(): Promise<void> {
    return this.model.close();
  }

  private checkNames(feeds: Tensors): void {
    const wanted = this.inputs.map((spec) => spec.name);
    const missing = wanted.filter((name) => !(name in feeds));
    const unknown = Object.keys(feeds).filter((name) => !wanted.includes(name));
    if (missing.length + unknown.length === 0) return;
    throw new InputError(
      `variant '${this.variant.name}' takes inputs ${wanted.join(", ")}; missing: ${missing.join(", ") || "none"}; ` +
        `unknown: ${unknown.join(", ") || "none"}`,
    );
  }

  /** The size of each named dimension, the same in every input. */
  private dimsOf(feeds: Tensors): Sizes {
    const dims: Record<string, number> = record([]);
    for (const spec of this.inputs) {
      const { shape } = feeds[spec.name] as Tensor;
      const fits =
        shape.length === spec.shape.length &&
        shape.every((size, axis) => {
          const dim = spec.shape[axis] as number | string;
          return size >= 1 && size === (typeof dim === "string" ? (dims[dim] ??= size) : dim);
        });
      if (!fits)
        throw new InputError(
          `input '${spec.name}': expected shape [${spec.shape.join(", ")}], got [${shape.join(", ")}]`,
        );
    }
    return dims;
  }

  /** The dimensions that have to grow, and to what. */
  private grown(dims: Sizes): Sizes {
    const found: [string, number][] = [];
    for (const [name, lengths] of Object.entries(this.variant.lengths)) {
      const size = dims[name];
      if (size === undefined || lengths.includes(size)) continue;
      const fitting = lengths.find((length) => length > size); // they ascend
      if (fitting === undefined) {
        throw new InputError(
          `${name} length ${size} is longer than variant '${this.variant.name}' takes: it was made for lengths ` +
            `${lengths.join(", ")}. Cut the input, or compile with longer ones (--sequence-lengths for texts)`,
        );
      }
      found.push([name, fitting]);
    }
    return record(found);
  }

  /** Parts of `fixedBatch` rows; the last is filled up with copies of its last row, whose results are dropped. */
  private async split(feeds: Tensors, rows: number | undefined): Promise<Tensors> {
    const size = this.variant.fixedBatch;
    if (rows === undefined || size === null || rows === size) return this.once(feeds);
    const parts: Tensors[] = [];
    for (let start = 0; start < rows; start += size) {
      const index = Array.from({ length: size }, (_, i) => Math.min(start + i, rows - 1));
      const part = await this.once(
        record(this.inputs.map((spec) => [spec.name, picked(feeds[spec.name] as Tensor, spec, index)])),
      );
      const real = Math.min(size, rows - start);
      parts.push(
        record(this.outputs.map((spec) => [spec.name, trimmed(part[spec.name] as Tensor, spec, { [BATCH]: real })])),
      );
    }
    return record(
      this.outputs.map((spec) => {
        if (parts.length > 1 && !spec.shape.includes(BATCH)) {
          throw new EngineError(
            `variant '${this.variant.name}': output '${spec.name}' has no batch: pass at most ${size} rows`,
          );
        }
        return [
          spec.name,
          joined(
            parts.map((part) => part[spec.name] as Tensor),
            spec.shape.indexOf(BATCH),
          ),
        ];
      }),
    );
  }

  private async once(feeds: Tensors): Promise<Tensors> {
    const results = await this.model.run(feeds);
    const missing = this.outputs.find((spec) => results[spec.name] === undefined);
    if (missing !== undefined) {
      throw new EngineError(
        `variant '${this.variant.name}' on ${this.model.label}: output '${missing.name}' is missing: the file ` +
          `gives ${Object.keys(results).join(", ")}. Compile the bundle again`,
      );
    }
    return results;
  }

  /** One output without padding, in the manifest's dtype, checked against the manifest. */
  private finished(spec: TensorSpec, result: Tensor, dims: Sizes, grown: Sizes): Tensor {
    const real = record(Object.keys(grown).map((name) => [name, dims[name] as number]));
    const found = result.shape.length === spec.shape.length ? trimmed(result, spec, real) : result;
    const fits =
      found.shape.length === spec.shape.length &&
      found.shape.every((size, axis) => {
        const dim = spec.shape[axis] as number | string;
        const wanted = typeof dim === "string" ? dims[dim] : dim;
        return wanted === undefined || wanted === size;
      });
    if (fits) return cast(found, spec.dtype);
    throw new EngineError(
      `variant '${this.variant.name}' on ${this.model.label}: output '${spec.name}': the manifest says ` +
        `[${spec.shape.join(", ")}], got [${found.shape.join(", ")}]. Compile the bundle again`,
    );
  }
}
