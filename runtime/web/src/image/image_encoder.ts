/** Pictures to the input tensor that a bundle's numbers describe (FORMAT.md, kind "image"). */

import { InputError } from "../errors.js";
import type { Encoded } from "../tasks/encoded.js";
import { channelsOf, place, sizeOf, type ImagePreprocess } from "./image_preprocess.js";
import { resize, type Plane } from "./image_resizing.js";

const MAX_PIXELS = 89_478_485;

/**
 * Bytes of an upright picture, row by row: [height, width] with 1, 3 (RGB) or 4 (RGBA) channels, which lie together.
 */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** What the platform reads: bytes of a file, or what a browser already shows. */
export type ImageItem = Pixels | Blob | ImageBitmap;

/** One picture, ready to run: float32 [1, channels, height, width]. Throws InputError for what is no picture. */
export function encodeImage(preprocess: ImagePreprocess, pixels: Pixels): Encoded {
  const [height, width] = sizeOf(preprocess);
  const planes = planesOf(preprocess, pixels);
  const placed = place(preprocess, pixels.height, pixels.width);
  const data = new Float32Array(planes.length * height * width);
  planes.forEach((plane, channel) => {
    const table = tableOf(preprocess, channel);
    const part =
      preprocess.resize === null
        ? cut(plane, placed.partStart, placed.partSize)
        : resize(
            plane,
            placed.resized,
            preprocess.resize.filter,
            placed.partStart,
            placed.partSize,
            preprocess.resize.cubicA,
          );
    const out = data.subarray(channel * height * width, (channel + 1) * height * width).fill(table[0] as number);
    for (let y = 0; y < part.height; y++) {
      const to = (y + placed.offset[0]) * width + placed.offset[1];
      for (let x = 0; x < part.width; x++) out[to + x] = table[part.data[y * part.width + x] as number] as number;
    }
  });
  const tensor = { dtype: "float32", shape: [1, planes.length, height, width], data } as const;
  return { feeds: { [preprocess.input]: tensor }, tokens: null, truncated: false, tokensCut: null };
}

/** What each byte of a channel becomes: the whole of FORMAT.md's "Numbers". */
function tableOf(preprocess: ImagePreprocess, channel: number): Float32Array {
  const mean = Math.fround(preprocess.mean[channel] as number);
  const std = Math.fround(preprocess.std[channel] as number);
  return Float32Array.from({ length: 256 }, (_, byte) => {
    return Math.fround(Math.fround(Math.fround(byte * preprocess.rescale) - mean) / std);
  });
}

function planesOf(preprocess: ImagePreprocess, pixels: Pixels): Plane[] {
  const { width, height, data } = pixels;
  const channels = data.length / (width * height);
  if (!(width >= 1 && height >= 1) || ![1, 3, 4].includes(channels)) {
    throw new InputError(
      `picture: ${data.length} bytes for ${width} x ${height} pixels: expected 1, 3 or 4 bytes a pixel`,
    );
  }
  if (width * height > MAX_PIXELS)
    throw new InputError(`picture: ${width} x ${height} pixels: expected at most ${MAX_PIXELS}`);
  const alpha = (pixel: number): number =>
    channels === 4 && preprocess.alpha === "white" ? (data[pixel * 4 + 3] as number) : 255;
  const rgb = [0, 1, 2].map((channel) => {
    const plane = new Uint8Array(width * height);
    for (let pixel = 0; pixel < plane.length; pixel++) {
      const a = alpha(pixel);
      const c = data[pixel * channels + (channels === 1 ? 0 : channel)] as number;
      plane[pixel] = a === 255 ? c : Math.round((c * a + 255 * (255 - a)) / 255);
    }
    return plane;
  }) as [Uint8Array, Uint8Array, Uint8Array];
  const planes = channelsOf(preprocess) === 1 ? [grey(...rgb)] : rgb;
  return planes.map((plane) => ({ width, height, data: plane }));
}

function grey(red: Uint8Array, green: Uint8Array, blue: Uint8Array): Uint8Array {
  return red.map((r, i) => (19595 * r + 38470 * (green[i] as number) + 7471 * (blue[i] as number) + 32768) >>> 16);
}

function cut(plane: Plane, start: readonly [number, number], size: readonly [number, number]): Plane {
  const data = new Uint8Array(size[0] * size[1]);
  for (let y = 0; y < size[0]; y++) {
    const from = (y + start[0]) * plane.width + start[1];
    data.set(plane.data.subarray(from, from + size[1]), y * size[1]);
  }
  return { height: size[0], width: size[1], data };
}
