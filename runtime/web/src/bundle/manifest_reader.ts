/**
 * From the bytes of manifest.json to `Manifest`, trusting nothing.
 *
 * The only error that leaves this file is RuntimeBundleError; its message names the place, what was expected and what
 * was found. What is well formed and unknown here, as a later release may write it, is skipped with the reason.
 */

import { readAudio } from "../audio/audio_preprocess.js";
import { RuntimeBundleError } from "../errors.js";
import { readImage } from "../image/image_preprocess.js";
import { readText } from "../text/text_preprocess.js";
import { DTYPES } from "../tensor.js";
import { checkChecksum } from "./checksum.js";
import {
  boolean,
  Fields,
  integer,
  listOf,
  name,
  nullable,
  number,
  objectOf,
  oneOf,
  opaque,
  path,
  refuse,
  sha256,
  string,
  UnknownPartError,
  wrong,
  type Read,
} from "./json_fields.js";
import * as types from "./manifest.js";
import type { Manifest, Preprocess, Skipped, TaskSpec, TensorSpec, VariantEntry } from "./manifest.js";
import { checkWhole, MAX_SIZE } from "./manifest_whole.js";
import * as needs from "./needs.js";
import { plain, readJson, type Json } from "./strict_json.js";

const DOCUMENT = "manifest.json: ";
const MAX_DIMS = 32;
const MAX_LENGTH = 1 << 24; // of a named dimension: tokens, samples, frames, pixels
const READERS: Readonly<Record<string, Read<Preprocess>>> = { text: readText, image: readImage, audio: readAudio };

/** Parse manifest.json; what is wrong with it decides the error's code. */
export async function readManifest(bytes: Uint8Array): Promise<Manifest> {
  const value = readJson(bytes, "manifest.json");
  const manifest = manifestOf(value); // first: what it refuses, it names
  await checkChecksum(bytes, value);
  return manifest;
}

/** The format version is looked at before everything else. */
function manifestOf(value: Json): Manifest {
  const fields = new Fields(value, DOCUMENT);
  const formatVersion = fields.take("format_version", version);
  const signature = new Fields(fields.take("signature", opaque), `${DOCUMENT}signature`);
  const [task, skippedTask] = readTask(fields.take("task", opaque), `${DOCUMENT}task`);
  const variants = known(fields.take("variants", listOf(opaque)), "variant", "name", readVariant);
  const preprocess = known(fields.optional("preprocess", listOf(opaque), []), "preprocess", "kind", readPreprocess);
  const manifest: Manifest = {
    formatVersion,
    name: fields.take("name", name),
    task,
    inputs: signature.take("inputs", listOf(readTensor)),
    outputs: signature.take("outputs", listOf(readTensor)),
    files: fields.take("files", listOf(readFile)),
    variants: variants.found,
    preprocess: preprocess.found,
    targets: fields.optional("targets", listOf(string), []),
    recipe: plain(fields.optional("recipe", opaque, {})),
    sources: plain(fields.optional("sources", opaque, {})),
    metrics: plain(fields.optional("metrics", opaque, {})),
    producer: fields.optional("producer", string, ""),
    skipped: [...skippedTask, ...variants.skipped, ...preprocess.skipped],
  };
  signature.finish();
  fields.optional("checksum", nullable(sha256), null); // of the text: see checksum
  fields.finish();
  checkWhole(manifest);
  return manifest;
}

const version: Read<number> = (value, where) => {
  const found = integer(1, Infinity)(value, where);
  if (found === types.FORMAT_VERSION) return found;
  const newer = found > types.FORMAT_VERSION;
  throw new RuntimeBundleError(
    `made by ${newer ? "a newer edgeformer" : "an edgeformer from before the first release"} (format ${found}, this ` +
      `runtime reads ${types.FORMAT_VERSION}): ${newer ? "update edgeformer-web" : "compile the model again"}`,
    "format-version",
  );
};

function known<T>(
  items: readonly Json[],
  part: "variant" | "preprocess",
  key: string,
  read: Read<T>,
): { found: T[]; skipped: Skipped[] } {
  const found: T[] = [];
  const skipped: Skipped[] = [];
  items.forEach((item, index) => {
    const place = `${DOCUMENT}${part === "variant" ? "variants" : part}[${index}]`;
    const called = new Fields(item, place).take(key, name);
    try {
      found.push(read(item, place));
    } catch (error) {
      if (!(error instanceof UnknownPartError)) throw error;
      skipped.push({ part, name: called, reason: error.reason });
    }
  });
  return { found, skipped };
}

/** The task, or one without facts where there is something about it that nobody here knows. */
function readTask(value: Json, where: string): [TaskSpec, Skipped[]] {
  const called = new Fields(value, where).take("kind", name);
  try {
    return [taskSpec(value, where), []];
  } catch (error) {
    if (!(error instanceof UnknownPartError)) throw error;
    return [taskSpec({ kind: called }, where), [{ part: "task", name: called, reason: error.reason }]];
  }
}

const taskSpec: Read<TaskSpec> = (value, where) => {
  const fields = new Fields(value, where);
  const numbers = new Fields(fields.optional("numbers", opaque, {}), `${where}.numbers`);
  const task: TaskSpec = {
    name: fields.take("kind", name),
    labels: fields.optional("labels", listOf(string), []),
    multiLabel: fields.optional("multi_label", boolean, false),
    regression: fields.optional("regression", boolean, false),
    activation: fields.optional("activation", nullable(oneOf(types.ACTIVATIONS)), null),
    similarity: fields.optional("similarity", nullable(oneOf(types.SIMILARITIES)), null),
    threshold: numbers.optional("threshold", number, 0.5),
    longestAnswer: numbers.optional("longest_answer", integer(1, MAX_LENGTH), 30),
    scale: numbers.optional("scale", number, 1),
    bias: numbers.optional("bias", number, 0),
    hypothesisTemplate: fields.optional("hypothesis_template", nullable(template), null),
    labelVectors: fields.optional("label_vectors", nullable(path), null),
  };
  numbers.finish();
  fields.finish();
  if (task.activation === (task.regression ? "softmax" : "tanh")) {
    refuse(`${where}.activation '${task.activation}' is none for ${task.regression ? "one number" : "several labels"}`);
  }
  return task;
};

const template: Read<string> = (value, where) =>
  typeof value === "string" && value.includes("{}")
    ? value
    : wrong(where, "a text with {} where the label goes", value);

const dim: Read<types.Dim> = (value, where) =>
  typeof value === "string" ? name(value, where) : integer(1, MAX_SIZE)(value, where);

const readTensor: Read<TensorSpec> = (value, where) => {
  const fields = new Fields(value, where);
  const spec: TensorSpec = {
    name: fields.take("name", name),
    dtype: fields.take("dtype", oneOf(DTYPES)),
    shape: fields.take("shape", listOf(dim)),
    padValue: fields.optional("pad_value", number, 0),
    role: fields.optional("role", nullable(oneOf(types.ROLES)), null),
  };
  fields.finish();
  if (spec.shape.filter((item) => item === types.BATCH).length > 1) refuse(`${where}.shape: 'batch' occurs twice`);
  if (spec.shape.length > MAX_DIMS) refuse(`${where}.shape: expected at most ${MAX_DIMS} dimensions`);
  const fixed = spec.shape.reduce<number>((product, item) => (typeof item === "number" ? product * item : product), 1);
  if (fixed > MAX_SIZE) refuse(`${where}.shape: has more than ${MAX_SIZE} elements`);
  return spec;
};

const readFile: Read<types.FileEntry> = (value, where) => {
  const fields = new Fields(value, where);
  const entry = {
    path: fields.take("path", path),
    bytes: fields.take("bytes", integer(0)),
    sha256: fields.take("sha256", sha256),
  };
  fields.finish();
  return entry;
};

const readVariant: Read<VariantEntry> = (value, where) => {
  const fields = new Fields(value, where);
  const format = fields.take("format", name) as VariantEntry["format"];
  if (!types.FORMATS.includes(format))
    throw new UnknownPartError(where, `format ${format.slice(0, 80)} is unknown here`);
  const entry: VariantEntry = {
    name: fields.take("name", name),
    format,
    engine: fields.take("engine", name),
    graphs: fields.take("graphs", objectOf(readGraph)),
    sizeBytes: fields.take("size_bytes", integer(0)),
    lengths: fields.optional("lengths", objectOf(ascending), {}),
    fixedBatch: fields.optional("fixed_batch", nullable(integer(1, MAX_SIZE)), null),
    minEngineVersion: fields.optional("min_engine_version", nullable(engineVersion), null),
    verification: fields.optional("verification", nullable(needs.verification), null),
  };
  fields.optional("weight_formats", objectOf(integer(0)), {});
  fields.optional("engine_packages", listOf(name), []); // of Python: golden rows decide here
  fields.optional("targets", listOf(string), []);
  fields.optional("settings", opaque, {});
  fields.optional("tensorrt", nullable(needs.tensorrt), null);
  fields.optional("local_attention", nullable(needs.localAttention), null);
  fields.optional("full_attention", nullable(needs.fullAttention), null);
  fields.finish();
  if (Object.keys(entry.graphs).length === 0) refuse(`${where}.graphs: expected at least one graph`);
  if (types.BATCH in entry.lengths) refuse(`${where}.lengths: 'batch' is what fixed_batch is for`);
  return entry;
};

const readGraph: Read<types.Graph> = (value, where) => {
  const fields = new Fields(value, where);
  const graph = {
    path: fields.take("path", path),
    inputs: fields.optional("inputs", nullable(listOf(readTensor)), null),
    outputs: fields.optional("outputs", nullable(listOf(readTensor)), null),
    states: fields.optional("states", listOf(readState), []),
  };
  fields.finish();
  return graph;
};

const readState: Read<types.State> = (value, where) => {
  const fields = new Fields(value, where);
  const state = {
    input: fields.take("input", name),
    output: fields.take("output", name),
    axis: fields.take("axis", integer(0)),
    update: fields.take("update", oneOf(types.UPDATES)),
    longest: fields.optional("longest", nullable(integer(1, MAX_LENGTH)), null),
  };
  fields.finish();
  return state;
};

const readPreprocess: Read<Preprocess> = (value, where) => {
  const called = new Fields(value, where).take("kind", name);
  const read = Object.hasOwn(READERS, called) ? READERS[called] : undefined;
  if (read === undefined) throw new UnknownPartError(where, `kind ${called.slice(0, 80)} is unknown here`);
  return read(value, where);
};

const engineVersion: Read<string> = (value, where) =>
  typeof value === "string" && /^(iOS)?\d{1,9}(\.\d{1,9}){0,5}$/.test(value)
    ? value
    : wrong(where, 'a version like "1.19" or "iOS18"', value);

const ascending: Read<number[]> = (value, where) => {
  const lengths = listOf(integer(1, MAX_LENGTH))(value, where);
  const rises = lengths.every((length, index) => index === 0 || length > (lengths[index - 1] as number));
  return lengths.length > 0 && rises ? lengths : wrong(where, "ascending lengths, each once", value);
};
