/** How a picture becomes an input tensor: the numbers that a manifest holds, and the sizes that follow from them. */

import {
  boolean,
  Fields,
  integer,
  listOf,
  nullable,
  number,
  oneOf,
  string,
  refuse,
  type Read,
} from "../bundle/json_fields.js";
import { InputError } from "../errors.js";

export const FILTERS = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] as const;
export type Filter = (typeof FILTERS)[number];
const MAX_SIDE = 4096;
const MAX_NUMBER = 1e6;
const MAX_RESIZED_SIDE = 1 << 24;

export interface ImageResize {
  /** [height, width] in mode "exact"; [shortest side] in mode "shortest". */
  readonly size: readonly number[];
  readonly mode: "exact" | "shortest";
  readonly filter: Filter;
  readonly cubicA: number;
}

export interface ImagePreprocess {
  readonly kind: "image";
  readonly input: string;
  readonly color: "RGB" | "L";
  readonly alpha: "white" | "drop";
  readonly resize: ImageResize | null;
  /** [height, width] */
  readonly crop: readonly number[] | null;
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Which part of the resized picture is taken, and where it lies in the tensor. Pairs are [height, width]. */
export interface Placement {
  readonly resized: readonly [number, number];
  readonly partStart: readonly [number, number];
  readonly partSize: readonly [number, number];
  readonly offset: readonly [number, number];
}

/** Throws RuntimeBundleError naming the place, UnknownPartError for a key that is unknown. */
export const readImage: Read<ImagePreprocess> = (value, where) => {
  const fields = new Fields(value, where);
  const preprocess: ImagePreprocess = {
    // in Python's order: of several errors it decides which is named
    mean: fields.take("mean", listOf(number)),
    std: fields.take("std", listOf(number)),
    resize: fields.optional("resize", nullable(readResize), null),
    crop: fields.optional("crop", nullable(listOf(side)), null),
    color: fields.optional("color", oneOf(["RGB", "L"]), "RGB"),
    alpha: fields.optional("alpha", oneOf(["white", "drop"]), "white"),
    rescale: fields.optional("rescale", number, 1 / 255),
    input: fields.optional("input", string, "pixel_values"),
    kind: fields.take("kind", oneOf(["image"])),
  };
  fields.optional("layout", oneOf(["NCHW"]), "NCHW");
  fields.finish();
  check(preprocess, where);
  return preprocess;
};

const side = integer(1, MAX_SIDE);

const readResize: Read<ImageResize> = (value, where) => {
  const fields = new Fields(value, where);
  const resize = {
    size: fields.take("size", listOf(side)),
    mode: fields.take("mode", oneOf(["exact", "shortest"] as const)),
    filter: fields.take("filter", oneOf(FILTERS)),
    cubicA: fields.optional("cubic_a", number, -0.5),
  };
  const antialias = fields.optional("antialias", boolean, true);
  fields.optional("rounding", oneOf(["uint8"]), "uint8");
  fields.finish();
  if (resize.size.length !== (resize.mode === "exact" ? 2 : 1))
    refuse(`${where}.size: not as many sides as mode ${resize.mode} has`);
  if (!antialias) refuse(`${where}.antialias: expected true`);
  if (!(resize.cubicA >= -1 && resize.cubicA <= 0)) refuse(`${where}.cubic_a: expected -1 to 0`);
  return resize;
};

function check(item: ImagePreprocess, where: string): void {
  const { color, crop, mean, std, rescale, resize } = item;
  const channels = channelsOf(item);
  if (item.input === "") refuse(`${where}.input: expected the name of an input`);
  if (mean.length !== channels || std.length !== channels)
    refuse(`${where}: expected mean and std of ${channels} channels (${color})`);
  if (![...mean, ...std, rescale].every((value) => Math.abs(value) <= MAX_NUMBER))
    refuse(`${where}: numbers beyond ${MAX_NUMBER}`);
  if (Math.min(...std, rescale) < 1 / MAX_NUMBER) refuse(`${where}: std or rescale below ${1 / MAX_NUMBER}`);
  if (crop !== null && crop.length !== 2) refuse(`${where}.crop: expected [height, width]`);
  if (crop === null && resize?.mode !== "exact") refuse(`${where}: expected a crop, or a resize of mode 'exact'`);
}

/** How many channels the tensor has. */
export function channelsOf(item: ImagePreprocess): number {
  return item.color === "RGB" ? 3 : 1;
}

/** [height, width] of the tensor. */
export function sizeOf(item: ImagePreprocess): readonly [number, number] {
  return (item.crop ?? item.resize?.size) as unknown as readonly [number, number];
}

/** Where a picture of `height` x `width` pixels goes. Throws InputError for one that is too elongated. */
export function place(item: ImagePreprocess, height: number, width: number): Placement {
  const resized = item.resize === null ? ([height, width] as const) : resizedSize(item.resize, height, width);
  const target = sizeOf(item);
  const both = <T>(make: (axis: 0 | 1) => T): readonly [T, T] => [make(0), make(1)];
  return {
    resized,
    partStart: both((axis) => Math.max(Math.floor((resized[axis] - target[axis]) / 2), 0)),
    partSize: both((axis) => Math.min(resized[axis], target[axis])),
    offset: both((axis) => Math.max(Math.floor((target[axis] - resized[axis] + 1) / 2), 0)),
  };
}

function resizedSize(resize: ImageResize, height: number, width: number): readonly [number, number] {
  if (resize.mode === "exact") return resize.size as unknown as readonly [number, number];
  const short = resize.size[0] as number;
  const long = Math.floor((short * Math.max(height, width)) / Math.min(height, width));
  if (long > MAX_RESIZED_SIDE) {
    throw new InputError(
      `picture of ${width} x ${height} pixels: is too elongated: its longer side would have ${long} pixels`,
    );
  }
  return width <= height ? [long, short] : [short, long];
}
