/**
 * Decoding by the browser: JPEG, PNG, WebP and what else it reads; EXIF's orientation is applied, colour profiles are
 * not.
 *
 * A canvas keeps colours multiplied by their opacity, so pixels that are neither opaque nor clear come back up to a few
 * levels off FORMAT.md's; opaque pictures come back as they are. Of an animation the first frame is taken.
 */

import { InputError } from "../errors.js";
import type { ImageItem, Pixels } from "./image_encoder.js";

/** The bytes of a picture. Throws InputError where nothing here can read it. */
export async function decodeImage(item: ImageItem): Promise<Pixels> {
  if ("data" in item) return item;
  if (typeof createImageBitmap !== "function" || typeof OffscreenCanvas !== "function") {
    throw new InputError("picture: nothing here decodes files: expected {width, height, data} with RGB or RGBA bytes");
  }
  const bitmap = item instanceof Blob ? await bitmapOf(item) : item;
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  if (context === null) throw new InputError("picture: the browser gives no canvas to read it with");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

async function bitmapOf(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
      colorSpaceConversion: "none",
    });
  } catch (error) {
    throw new InputError(`picture: the browser can't read it: ${String(error)}: expected JPEG, PNG or WebP`);
  }
}
