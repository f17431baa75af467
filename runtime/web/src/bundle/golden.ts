/** golden.json and golden.bin: inputs, and what each variant answered to them when it was verified. */

import { RuntimeBundleError } from "../errors.js";
import { count, decode, DTYPES, isFinite, itemBytes, type DType, type Tensor, type Tensors } from "../tensor.js";
import type { Bundle } from "./bundle.js";
import {
  below,
  Fields,
  integer,
  listOf,
  name,
  nullable,
  number,
  opaque,
  record,
  string,
  wrong,
  type Read,
} from "./json_fields.js";
import { MAIN, type Manifest, type TensorSpec } from "./manifest.js";
import { plain, readJson, type Json } from "./strict_json.js";

const GOLDEN_NAME = "golden.json";
const DATA_NAME = "golden.bin";
const VERSION = 2;
const MAX_BYTES = 8 << 20; // of each of the two
const MAX_ROWS = 64;

/** What a row was made of, so that a reader can check its own preprocessing. */
export interface GoldenText {
  readonly text: string;
  readonly second: string | null;
  readonly prompt: string | null;
}

/**
 * A variant's outputs and what they mean, one entry a row, and the similarity that another engine has to reach on each.
 */
export interface GoldenVariant {
  readonly outputs: readonly Tensors[];
  readonly similarityMin: number;
  readonly executedBy: string;
  readonly predictions: readonly unknown[];
}

export interface Golden {
  readonly rows: readonly Tensors[];
  readonly texts: readonly (GoldenText | null)[];
  readonly variants: Readonly<Record<string, GoldenVariant>>;
}

/** The golden rows of an open bundle; null for one without them. Throws RuntimeBundleError. */
export async function readGolden(bundle: Bundle): Promise<Golden | null> {
  if (!bundle.has(GOLDEN_NAME)) return null;
  if (!bundle.has(DATA_NAME)) refuse(`has no ${DATA_NAME} beside it`);
  return parseGolden(await bundle.read(GOLDEN_NAME), await bundle.read(DATA_NAME), bundle.manifest);
}

/** Golden rows that fit the inputs, outputs and variants of `manifest`. */
export function parseGolden(content: Uint8Array, data: Uint8Array, manifest: Manifest): Golden {
  try {
    return parsed(content, data, manifest);
  } catch (error) {
    if (error instanceof RuntimeBundleError) refuse(error.message); // of JSON, of a field: the manifest is sound
    throw error;
  }
}

function parsed(content: Uint8Array, data: Uint8Array, manifest: Manifest): Golden {
  if (data.length > MAX_BYTES) refuse(`${DATA_NAME} has ${data.length} bytes: expected at most ${MAX_BYTES}`);
  const where = `${GOLDEN_NAME}: `;
  const fields = new Fields(readJson(content, GOLDEN_NAME, MAX_BYTES), where);
  const version = fields.take("version", integer(0));
  if (version !== VERSION) refuse(`version ${version}, this runtime reads ${VERSION}: update edgeformer-web`);
  const listed = fields.take("rows", listOf(opaque));
  if (listed.length < 1 || listed.length > MAX_ROWS) refuse(`${listed.length} rows: expected 1 to ${MAX_ROWS}`);
  const rows: Tensors[] = [];
  const texts: (GoldenText | null)[] = [];
  listed.forEach((item, index) => {
    const row = new Fields(item, `${where}rows[${index}]`);
    rows.push(row.take("inputs", (value, place) => readRow(value, place, manifest.inputs, data)));
    texts.push(row.optional("text", nullable(readText), null));
    row.finish();
  });
  const variants = fields.take("variants", (value, place) => readVariants(value, place, manifest, rows.length, data));
  fields.finish();
  return { rows, texts, variants };
}

function readVariants(
  value: Json,
  where: string,
  manifest: Manifest,
  rows: number,
  data: Uint8Array,
): Record<string, GoldenVariant> {
  const found: [string, GoldenVariant][] = [];
  for (const [key, item] of Object.entries(opaque(value, where))) {
    if (manifest.skipped.some((part) => part.part === "variant" && part.name === key)) continue;
    const entry = manifest.variants.find((variant) => variant.name === key);
    if (entry === undefined) refuse(`variant '${key.slice(0, 80)}' is not in the manifest`);
    const outputs = entry.graphs[MAIN]?.outputs ?? manifest.outputs;
    found.push([key, readVariant(item, below(where, key), outputs, rows, data)]);
  }
  return record(found);
}

function readVariant(
  value: Json,
  where: string,
  outputs: readonly TensorSpec[],
  rows: number,
  data: Uint8Array,
): GoldenVariant {
  const fields = new Fields(value, where);
  const listed = fields.take("outputs", listOf(opaque));
  const predictions = fields.optional("predictions", listOf(nullable(opaque)), Array<null>(rows).fill(null));
  if (listed.length !== rows || predictions.length !== rows)
    refuse(`${where}: expected outputs and predictions of ${rows} rows`);
  const variant = {
    outputs: listed.map((item, index) => readRow(item, `${where}.outputs[${index}]`, outputs, data)),
    similarityMin: fields.take("similarity_min", number),
    executedBy: fields.take("executed_by", string).slice(0, 500),
    predictions: predictions.map(plain),
  };
  fields.finish();
  if (!(variant.similarityMin > 0 && variant.similarityMin < 1))
    refuse(`similarity_min ${variant.similarityMin}: expected 0 to 1`);
  return variant;
}

const readText: Read<GoldenText> = (value, where) => {
  const fields = new Fields(value, where);
  const text = {
    text: fields.take("text", string),
    second: fields.optional("second", nullable(string), null),
    prompt: fields.optional("prompt", nullable(string), null),
  };
  fields.finish();
  return text;
};

function readRow(value: Json, where: string, specs: readonly TensorSpec[], data: Uint8Array): Tensors {
  const fields = new Fields(value, where);
  const row = record(
    specs.map((spec) => [spec.name, fields.take(spec.name, (item, place) => readArray(item, place, data))]),
  );
  fields.finish();
  return row;
}

function readArray(value: Json, where: string, data: Uint8Array): Tensor {
  const fields = new Fields(value, where);
  const dtype = fields.take("dtype", name) as DType;
  if (!DTYPES.includes(dtype)) wrong(`${where}.dtype`, `one of ${DTYPES.join(", ")}`, dtype);
  const shape = fields.take("shape", listOf(integer(0)));
  const offset = fields.take("offset", integer(0));
  fields.finish();
  if (shape.length > 8 || !shape.every((size) => size > 0 && size <= MAX_BYTES)) {
    wrong(`${where}.shape`, "up to 8 sizes of at least 1", `[${shape.join(", ")}]`);
  }
  const end = offset + count(shape) * itemBytes(dtype);
  if (end > data.length) refuse(`${where}: bytes ${offset} to ${end}: ${DATA_NAME} has ${data.length}`);
  const array = decode(dtype, shape, data, offset);
  if (!isFinite(array.data)) refuse(`${where}: holds numbers that aren't finite`);
  return array;
}

function refuse(problem: string): never {
  throw new RuntimeBundleError(problem.startsWith(GOLDEN_NAME) ? problem : `${GOLDEN_NAME}: ${problem}`, "golden");
}
