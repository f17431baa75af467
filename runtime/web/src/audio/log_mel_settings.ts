/** The settings of FORMAT.md's "Log-mel". Numbers of samples, unless they say otherwise. */

import { boolean, Fields, integer, nullable, number, oneOf, refuse, type Read } from "../bundle/json_fields.js";

const MAX_FFT = 1 << 14;
export const MAX_VALUES = 1 << 26; // of one spectrogram

export interface LogMel {
  readonly nFft: number;
  readonly hop: number;
  readonly mels: number;
  readonly windowLength: number;
  readonly reflect: boolean;
  readonly removeOffset: boolean;
  readonly preemphasis: number;
  readonly window: "hann" | "hann_symmetric";
  readonly minHz: number;
  readonly maxHz: number;
  readonly melScale: "htk" | "kaldi" | "slaney";
  readonly trianglesInMel: boolean;
  readonly areaNorm: boolean;
  readonly log: "natural" | "log10";
  readonly logFloor: number;
  readonly dropLastFrame: boolean;
  readonly range: number | null;
  readonly frames: number | null;
  readonly mean: number;
  readonly std: number;
  readonly layout: "frames_mels" | "mels_frames";
}

export const readLogMel: Read<LogMel> = (value, where) => {
  const fields = new Fields(value, where);
  const nFft = fields.take("n_fft", integer(2, MAX_FFT));
  const mels = fields.take("mels", integer(1, 1 << 10));
  const settings: LogMel = {
    nFft,
    mels,
    hop: fields.take("hop", integer(1, MAX_FFT)),
    windowLength: fields.optional("window_length", nullable(integer(2, nFft)), null) ?? nFft,
    reflect: fields.optional("reflect", boolean, false),
    removeOffset: fields.optional("remove_offset", boolean, false),
    preemphasis: fields.optional("preemphasis", number, 0),
    window: fields.optional("window", oneOf(["hann", "hann_symmetric"]), "hann"),
    minHz: fields.optional("min_hz", number, 0),
    maxHz: fields.optional("max_hz", number, 8000),
    melScale: fields.optional("mel_scale", oneOf(["htk", "kaldi", "slaney"]), "slaney"),
    trianglesInMel: fields.optional("triangles_in_mel", boolean, false),
    areaNorm: fields.optional("area_norm", boolean, false),
    log: fields.optional("log", oneOf(["natural", "log10"]), "natural"),
    logFloor: fields.optional("log_floor", number, 1e-10),
    dropLastFrame: fields.optional("drop_last_frame", boolean, false),
    range: fields.optional("range", nullable(number), null),
    frames: fields.optional("frames", nullable(integer(1, Math.floor(MAX_VALUES / mels))), null),
    mean: fields.optional("mean", number, 0),
    std: fields.optional("std", number, 1),
    layout: fields.optional("layout", oneOf(["frames_mels", "mels_frames"]), "frames_mels"),
  };
  fields.finish();
  check(settings, where);
  return settings;
};

function check(settings: LogMel, where: string): void {
  if (settings.nFft % 2 !== 0) refuse(`${where}.n_fft: expected an even number`);
  if (!(settings.preemphasis >= 0 && settings.preemphasis <= 1)) refuse(`${where}.preemphasis: expected 0 to 1`);
  if (!(settings.minHz >= 0 && settings.minHz < settings.maxHz))
    refuse(`${where}.min_hz: expected at least 0, below max_hz`);
  for (const key of ["logFloor", "range", "std"] as const) {
    if (!((settings[key] ?? 1) > 0)) refuse(`${where}: ${key}: expected a positive number`);
  }
}

/** Samples that a sound needs at least. */
export function shortestOf(settings: LogMel): number {
  const mirrored = settings.reflect ? Math.floor(settings.windowLength / 2) : 0;
  const dropped = settings.dropLastFrame ? settings.hop : 0;
  return Math.max(mirrored + 1, settings.windowLength - 2 * mirrored + dropped);
}

/** Samples that are looked at, where the number of frames is limited and frames aren't centred. */
export function longestOf(settings: LogMel): number | null {
  if (settings.frames === null || settings.reflect) return null;
  return (settings.frames - 1 + (settings.dropLastFrame ? 1 : 0)) * settings.hop + settings.windowLength;
}
