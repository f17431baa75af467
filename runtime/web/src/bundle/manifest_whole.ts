/** What one field of a manifest alone can't show: duplicates, and names that point at each other. */

import { refuse } from "./json_fields.js";
import type { FileEntry, Manifest, TensorSpec, VariantEntry } from "./manifest.js";
import { checkDistinct, parents } from "./paths.js";

export const MAX_SIZE = 2 ** 31 - 1; // of a dimension, and of all fixed dimensions of a tensor multiplied
export const MAX_BUNDLE_BYTES = 2 ** 34;
export const MAX_FILES = 10_000;
export const MANIFEST_NAME = "manifest.json";
export const SIGNATURE_NAME = "manifest.sig";
const MAX_TOKENIZER_BYTES = 256 << 20;

/** Throw RuntimeBundleError, code "manifest" or "path". */
export function checkWhole(manifest: Manifest): void {
  checkNames(manifest);
  const paths = manifest.files.map((entry) => entry.path);
  if (paths.length > MAX_FILES) refuse(`manifest.json: lists ${paths.length} files: expected at most ${MAX_FILES}`);
  checkDistinct([...paths, MANIFEST_NAME, SIGNATURE_NAME], "manifest.json: files");
  const total = manifest.files.reduce((sum, entry) => sum + entry.bytes, 0);
  if (total > MAX_BUNDLE_BYTES)
    refuse(`manifest.json: its files have ${total} bytes: expected at most ${MAX_BUNDLE_BYTES}`);
  const places = new Set(paths.flatMap((path) => [path, ...parents(path)]));
  for (const variant of manifest.variants) checkVariant(manifest, variant, places);
  checkReadFiles(manifest);
}

function checkNames(manifest: Manifest): void {
  const skipped = manifest.skipped.filter((item) => item.part === "variant").map((item) => item.name);
  const variants = [...manifest.variants.map((entry) => entry.name), ...skipped];
  if (variants.includes("auto"))
    refuse("manifest.json: variants: 'auto' is no name: it asks for the fastest. Rename it");
  const named: [string, readonly string[]][] = [
    ["inputs", manifest.inputs.map((spec) => spec.name)],
    ["outputs", manifest.outputs.map((spec) => spec.name)],
    ["variants", variants],
    ["task.labels", manifest.task.labels],
  ];
  for (const [what, names] of named) {
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) refuse(`manifest.json: ${what}: '${twice.slice(0, 80)}' occurs more than once`);
    if (names.length === 0 && what !== "task.labels") refuse(`manifest.json: ${what}: expected at least one, got none`);
  }
}

function checkVariant(manifest: Manifest, variant: VariantEntry, places: ReadonlySet<string>): void {
  const what = `manifest.json: variant '${variant.name}'`;
  const dimensions = new Set<unknown>();
  for (const graph of Object.values(variant.graphs)) {
    if (!places.has(graph.path)) refuse(`${what}: path '${graph.path}' is not among the files`);
    for (const spec of graph.inputs ?? manifest.inputs) spec.shape.forEach((dim) => dimensions.add(dim));
  }
  checkParts(manifest, variant, what);
  const strange = Object.keys(variant.lengths).find((name) => !dimensions.has(name));
  if (strange !== undefined) refuse(`${what}: lengths of '${strange}', which no input has`);
}

/** Graphs without states part the signature's tensors among them; those with states have tensors of their own. */
function checkParts(manifest: Manifest, variant: VariantEntry, what: string): void {
  const graphs = Object.values(variant.graphs);
  if (graphs.some((graph) => graph.states.length > 0 || graph.inputs === null || graph.outputs === null)) return;
  for (const key of ["inputs", "outputs"] as const) {
    const parts = graphs.flatMap((graph) => graph[key] ?? []);
    if (sorted(parts) !== sorted(manifest[key])) refuse(`${what}: its graphs' ${key} are not the signature's`);
  }
}

function sorted(specs: readonly TensorSpec[]): string {
  return specs
    .map((spec) => JSON.stringify(spec))
    .sort()
    .join("\n");
}

/** Files that are read whole must be there and small enough; label vectors as many and as long as they should be. */
function checkReadFiles(manifest: Manifest): void {
  const files = new Map(manifest.files.map((entry) => [entry.path, entry]));
  const vectors = manifest.task.labelVectors;
  if (vectors !== null) {
    const { bytes } = readFile(vectors, "task.label_vectors", files);
    const dimensions = manifest.outputs[0]?.shape.at(-1);
    if (typeof dimensions !== "number" || bytes !== 4 * manifest.task.labels.length * dimensions) {
      refuse(
        `manifest.json: task.label_vectors: '${vectors}' has ${bytes} bytes: expected 4 for each of ` +
          `${manifest.task.labels.length} labels x ${dimensions} dimensions`,
      );
    }
  }
  for (const item of manifest.preprocess) if (item.kind === "text") readFile(item.tokenizer, "preprocess text", files);
}

function readFile(path: string, what: string, files: ReadonlyMap<string, FileEntry>): FileEntry {
  const entry = files.get(path);
  if (entry === undefined) refuse(`manifest.json: ${what}: '${path}' is not among the files`);
  if (entry.bytes > MAX_TOKENIZER_BYTES)
    refuse(`manifest.json: '${path}' has ${entry.bytes} bytes: at most ${MAX_TOKENIZER_BYTES}`);
  return entry;
}
