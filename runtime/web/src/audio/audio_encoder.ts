/**
 * Sounds to the input tensor that a bundle's numbers describe (FORMAT.md, kind "audio"); one a row, padded by itself.
 */

import { InputError } from "../errors.js";
import type { Encoded } from "../tasks/encoded.js";
import { record } from "../bundle/json_fields.js";
import type { Tensor } from "../tensor.js";
import { longest, shortest, type AudioPreprocess } from "./audio_preprocess.js";
import { logMel } from "./log_mel.js";
import type { LogMel } from "./log_mel_settings.js";
import { resample } from "./resample.js";
import { checkSound, decodeWav, MAX_SAMPLES, type Sound } from "./wav.js";

const NORMALIZE_EPSILON = 1e-7; // added to the variance

/** The bytes of a WAV file, or samples with their rate. */
export type AudioItem = Uint8Array | Blob | Sound;

/** One sound, ready to run; `say` is told what was done to it. */
export async function encodeAudio(
  preprocess: AudioPreprocess,
  item: AudioItem,
  say: (note: string) => void,
): Promise<Encoded> {
  const sound = await read(item);
  sound.notes?.forEach(say);
  const [row, truncated] = fit(preprocess, sound, say);
  return { feeds: feeds(preprocess, row), tokens: null, truncated, tokensCut: null };
}

async function read(item: AudioItem): Promise<Sound> {
  if (item instanceof Uint8Array) return decodeWav(item);
  if (typeof Blob === "function" && item instanceof Blob) return decodeWav(new Uint8Array(await item.arrayBuffer()));
  if ("samples" in item) return checkSound(item);
  throw new InputError("sound: expected the bytes of a WAV file, or {samples, rateHz}");
}

/** The samples at the model's rate, at most so many as it looks at, and whether more were there. */
function fit(preprocess: AudioPreprocess, sound: Sound, say: (note: string) => void): [Float32Array, boolean] {
  const { rateHz } = preprocess;
  const limit = longest(preprocess);
  let row = sound.samples;
  let size = row.length;
  if (row.every((value) => value === row[0])) say(`is silence: all its samples are ${row[0]}`);
  if (sound.rateHz !== rateHz) {
    say(`was resampled from ${sound.rateHz} Hz to ${rateHz} Hz`);
    size = Math.ceil((size * rateHz) / sound.rateHz);
    if (limit === null && size > MAX_SAMPLES)
      throw new InputError(`sound: has ${size} samples at ${rateHz} Hz: cut it`);
    row = Float32Array.from(resample(row, sound.rateHz, rateHz, limit));
  }
  if (size < shortest(preprocess)) {
    throw new InputError(
      `sound: has ${size} samples at ${rateHz} Hz: the model takes at least ${shortest(preprocess)}`,
    );
  }
  if (limit === null || size <= limit) return [row, false];
  say(`was cut from ${(size / rateHz).toFixed(2)} s to ${(limit / rateHz).toFixed(2)} s`);
  return [row.slice(0, limit), true];
}

function feeds(preprocess: AudioPreprocess, row: Float32Array): Record<string, Tensor> {
  const { logMel: settings, rateHz, input } = preprocess;
  if (settings !== null && settings.frames !== null) return record([[input, spectrum(row, rateHz, settings)]]);
  const padded = new Float64Array(preprocess.padToMax ? (preprocess.maxSamples ?? row.length) : row.length);
  padded.fill(preprocess.paddingValue).set(row);
  if (settings !== null) return record([[input, spectrum(padded, rateHz, settings)]]);
  if (preprocess.normalize) normalize(preprocess.mask === null ? padded : padded.subarray(0, row.length));
  const shape = [1, padded.length];
  const made: [string, Tensor][] = [[input, { dtype: "float32", shape, data: Float32Array.from(padded) }]];
  if (preprocess.mask !== null) {
    const data = BigInt64Array.from({ length: padded.length }, (_, i) => (i < row.length ? 1n : 0n));
    made.push([preprocess.mask, { dtype: "int64", shape, data }]);
  }
  return record(made);
}

function spectrum(samples: ArrayLike<number>, rateHz: number, settings: LogMel): Tensor {
  const { frames, values } = logMel(samples, rateHz, settings);
  const sides = settings.layout === "frames_mels" ? [frames, settings.mels] : [settings.mels, frames];
  return { dtype: "float32", shape: [1, ...sides], data: Float32Array.from(values) };
}

function normalize(values: Float64Array): void {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  values.forEach((value, i) => (values[i] = (value - mean) / Math.sqrt(variance + NORMALIZE_EPSILON)));
}
