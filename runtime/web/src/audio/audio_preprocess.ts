/** How a sound becomes an input tensor: the settings of FORMAT.md's kind "audio". */

import { boolean, Fields, integer, nullable, number, oneOf, refuse, string, type Read } from "../bundle/json_fields.js";
import { MAX_SAMPLES } from "./wav.js";
import { longestOf, readLogMel, shortestOf, type LogMel } from "./log_mel_settings.js";

export interface AudioPreprocess {
  readonly kind: "audio";
  readonly rateHz: number;
  readonly input: string;
  readonly mask: string | null;
  readonly normalize: boolean;
  readonly paddingValue: number;
  readonly minSamples: number;
  readonly maxSamples: number | null;
  readonly padToMax: boolean;
  readonly logMel: LogMel | null;
}

/** Throws RuntimeBundleError naming the place, UnknownPartError for a key that is unknown. */
export const readAudio: Read<AudioPreprocess> = (value, where) => {
  const fields = new Fields(value, where);
  const item: AudioPreprocess = {
    kind: fields.take("kind", oneOf(["audio"])),
    rateHz: fields.take("rate_hz", integer(1000, 192_000)),
    input: fields.optional("input", string, "input_values"),
    mask: fields.optional("mask", nullable(string), null),
    normalize: fields.optional("normalize", boolean, false),
    paddingValue: fields.optional("padding_value", number, 0),
    minSamples: fields.optional("min_samples", integer(1, MAX_SAMPLES), 1),
    maxSamples: fields.optional("max_samples", nullable(integer(1, MAX_SAMPLES)), null),
    padToMax: fields.optional("pad_to_max", boolean, false),
    logMel: fields.optional("log_mel", nullable(readLogMel), null),
  };
  fields.finish();
  if (item.input === "" || item.mask === "" || item.mask === item.input)
    refuse(`${where}: expected two names, input's and mask's`);
  if (item.maxSamples !== null && item.minSamples > item.maxSamples)
    refuse(`${where}.min_samples: is above max_samples`);
  if (item.padToMax && item.maxSamples === null) refuse(`${where}.pad_to_max: needs max_samples`);
  if (item.logMel !== null) checkLogMel(item, item.logMel, where);
  return item;
};

function checkLogMel(item: AudioPreprocess, settings: LogMel, where: string): void {
  if (item.normalize || item.mask !== null)
    refuse(`${where}: expected normalize or mask, which are a waveform's, or log_mel`);
  if (settings.maxHz > item.rateHz / 2) refuse(`${where}.log_mel.max_hz: expected at most half of rate_hz`);
  if (item.maxSamples !== null && item.maxSamples < shortestOf(settings))
    refuse(`${where}.max_samples: is less than one frame`);
  if (settings.frames !== null && item.padToMax) refuse(`${where}: expected log_mel.frames or pad_to_max, got both`);
}

/** Samples that a sound needs at least. */
export function shortest(item: AudioPreprocess): number {
  return item.logMel === null || item.padToMax ? item.minSamples : Math.max(item.minSamples, shortestOf(item.logMel));
}

/** Samples of a sound that are looked at; null: all. */
export function longest(item: AudioPreprocess): number | null {
  const limits = [item.maxSamples, item.logMel === null ? null : longestOf(item.logMel)].filter(
    (limit) => limit !== null,
  );
  return limits.length === 0 ? null : Math.min(...limits);
}
