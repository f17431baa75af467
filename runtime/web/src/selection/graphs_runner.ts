/** Opening a variant: one runner for all of its graphs, such as two towers. */

import type { Bundle } from "../bundle/bundle.js";
import { record } from "../bundle/json_fields.js";
import { MAIN, ofGraph, type VariantEntry } from "../bundle/manifest.js";
import type { Engine } from "../engines/engine.js";
import { EngineError, InputError } from "../errors.js";
import type { Tensor, Tensors } from "../tensor.js";
import { VariantRunner } from "./variant_runner.js";

/** Runs those of a variant's graphs whose inputs are given: a picture alone costs its own tower alone. */
export class Runner {
  constructor(
    readonly variant: VariantEntry,
    private readonly parts: ReadonlyMap<string, VariantRunner>,
  ) {}

  /** Of the engine that runs it: package, version and what it runs on. */
  get label(): string {
    return [...new Set([...this.parts.values()].map((runner) => runner.model.label))].join(" + ");
  }

  get delegation(): readonly string[] {
    return [...this.parts.values()].flatMap((runner) => runner.model.delegation);
  }

  /**
   * {input name: tensor} to {output name: tensor}, of every graph that `feeds` hold an input of; throws as
   * `VariantRunner`.
   */
  async run(feeds: Tensors): Promise<Tensors> {
    if (this.parts.size === 1) return ([...this.parts.values()][0] as VariantRunner).run(feeds);
    const left = new Map(Object.entries(feeds));
    const outputs: [string, Tensor][] = [];
    let ran = false;
    for (const runner of this.parts.values()) {
      const given = runner.inputs
        .filter((spec) => left.has(spec.name))
        .map((spec) => [spec.name, left.get(spec.name) as Tensor] as const);
      given.forEach(([name]) => left.delete(name));
      if (given.length === 0) continue;
      outputs.push(...Object.entries(await runner.run(record(given))));
      ran = true;
    }
    if (left.size === 0 && ran) return record(outputs);
    const taken = [...this.parts].map(
      ([name, runner]) => `${name}: ${runner.inputs.map((spec) => spec.name).join(", ")}`,
    );
    throw new InputError(
      `variant '${this.variant.name}': expected the inputs of its graphs, or of some of them (${taken.join("; ")}), ` +
        `got ${[...left.keys()].join(", ") || "nothing"}`,
    );
  }

  async close(): Promise<void> {
    for (const runner of this.parts.values()) await runner.close();
  }
}

/** Why no runner here is for such graphs; null where there is one. */
export function cannotRun(variant: VariantEntry): string | null {
  const names = Object.keys(variant.graphs);
  const graphs = Object.values(variant.graphs);
  if (graphs.some((graph) => graph.states.length > 0))
    return `it runs in steps (graphs ${names.join(", ")}), which this runtime can't`;
  const alone = names.length === 1 && names[0] === MAIN;
  const described = graphs.every((graph) => graph.inputs !== null && graph.outputs !== null);
  return alone || described ? null : `its graphs ${names.join(", ")} don't say what each of them takes and gives`;
}

/** A runner of all graphs of `variant` on `engine`; throws EngineError. */
export async function openRunner(bundle: Bundle, variant: VariantEntry, engine: Engine): Promise<Runner> {
  const reason = cannotRun(variant);
  if (reason !== null) throw new EngineError(`variant '${variant.name}': ${reason}`);
  const parts = new Map<string, VariantRunner>();
  try {
    for (const [name, graph] of Object.entries(variant.graphs)) {
      const entry = ofGraph(variant, name);
      const model = await engine.load(await bundle.read(graph.path), entry);
      parts.set(
        name,
        new VariantRunner(
          model,
          entry,
          graph.inputs ?? bundle.manifest.inputs,
          graph.outputs ?? bundle.manifest.outputs,
        ),
      );
    }
  } catch (error) {
    for (const runner of parts.values()) await runner.close();
    throw error;
  }
  return new Runner(variant, parts);
}
