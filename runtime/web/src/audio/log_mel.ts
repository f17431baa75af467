/** Log-mel spectrograms in 64-bit floats; steps and formulas are FORMAT.md's, "Log-mel". */

import { InputError } from "../errors.js";
import { powers } from "./fourier.js";
import { MAX_VALUES, shortestOf, type LogMel } from "./log_mel_settings.js";

/** float64 [frames, mels], or [mels, frames] where the layout says so. */
export function logMel(
  samples: ArrayLike<number>,
  rateHz: number,
  settings: LogMel,
): { frames: number; values: Float64Array } {
  if (samples.length < shortestOf(settings)) {
    throw new InputError(
      `sound: has ${samples.length} samples at ${rateHz} Hz: expected at least ${shortestOf(settings)}`,
    );
  }
  const { mels, windowLength, hop } = settings;
  const x = settings.reflect ? mirrored(samples, Math.floor(windowLength / 2)) : Float64Array.from(samples);
  let made = 1 + Math.floor((x.length - windowLength) / hop) - (settings.dropLastFrame ? 1 : 0);
  made = Math.min(made, settings.frames ?? made);
  if (made * mels > MAX_VALUES) throw new InputError(`sound: gives ${made} frames: cut it`);
  const frames = settings.frames ?? made;
  const values = new Float64Array(frames * mels);
  const filters = melFilters(settings, rateHz);
  const window = hann(windowLength, settings.window);
  let largest = -Infinity;
  for (let t = 0; t < made; t++) {
    const spectrum = powers(frame(x.subarray(t * hop, t * hop + windowLength), window, settings));
    filters.forEach((filter, m) => {
      const sum = filter.reduce((total, [bin, weight]) => total + weight * (spectrum[bin] as number), 0);
      const power = Math.max(sum, settings.logFloor);
      const value = settings.log === "natural" ? Math.log(power) : Math.log10(power);
      largest = Math.max(largest, value);
      values[t * mels + m] = value;
    });
  }
  const least = settings.range === null ? -Infinity : largest - settings.range;
  for (let i = 0; i < values.length; i++) {
    const value = i < made * mels ? Math.max(values[i] as number, least) : 0;
    values[i] = (value - settings.mean) / settings.std;
  }
  return { frames, values: settings.layout === "frames_mels" ? values : transposed(values, frames, mels) };
}

function mirrored(x: ArrayLike<number>, size: number): Float64Array {
  const last = x.length - 1;
  return Float64Array.from({ length: x.length + 2 * size }, (_, i) => {
    const place = Math.abs(i - size);
    return x[place > last ? 2 * last - place : place] as number;
  });
}

/** One frame, windowed and filled up to the transform's length. */
function frame(samples: Float64Array, window: Float64Array, settings: LogMel): Float64Array {
  const y = new Float64Array(settings.nFft);
  y.set(samples);
  const own = y.subarray(0, samples.length);
  if (settings.removeOffset) {
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    own.forEach((value, i) => (own[i] = value - mean));
  }
  if (settings.preemphasis !== 0) {
    for (let i = own.length - 1; i >= 0; i--)
      own[i] = (own[i] as number) - settings.preemphasis * (own[Math.max(i - 1, 0)] as number);
  }
  own.forEach((value, i) => (own[i] = value * (window[i] as number)));
  return y;
}

function hann(length: number, kind: LogMel["window"]): Float64Array {
  const period = kind === "hann" ? length : length - 1;
  return Float64Array.from({ length }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / period));
}

/** Of each mel the bins that it takes, with their weights. */
function melFilters(settings: LogMel, rateHz: number): [number, number][][] {
  const { mels, melScale } = settings;
  const bins = settings.nFft / 2 + 1;
  const [low, high] = [hzToMel(settings.minHz, melScale), hzToMel(settings.maxHz, melScale)];
  const melPoints = Array.from({ length: mels + 2 }, (_, i) => low + ((high - low) * i) / (mels + 1));
  const hzPoints = melPoints.map((mel) => melToHz(mel, melScale));
  const points = settings.trianglesInMel ? melPoints : hzPoints;
  const place = (bin: number): number =>
    settings.trianglesInMel
      ? hzToMel((bin * rateHz) / (2 * (bins - 1)), melScale)
      : (bin * Math.floor(rateHz / 2)) / (bins - 1);
  const places = Array.from({ length: bins }, (_, bin) => place(bin));
  return Array.from({ length: mels }, (_, m) => {
    const [from, middle, to] = points.slice(m, m + 3) as [number, number, number];
    const area = settings.areaNorm ? 2 / ((hzPoints[m + 2] as number) - (hzPoints[m] as number)) : 1;
    return places
      .map((q, bin): [number, number] => [bin, area * Math.min((q - from) / (middle - from), (to - q) / (to - middle))])
      .filter(([, weight]) => weight > 0);
  });
}

const SLANEY_STEP = Math.log(6.4) / 27;

function hzToMel(hz: number, scale: LogMel["melScale"]): number {
  if (scale === "htk") return 2595 * Math.log10(1 + hz / 700);
  if (scale === "kaldi") return 1127 * Math.log(1 + hz / 700);
  return hz >= 1000 ? 15 + Math.log(hz / 1000) / SLANEY_STEP : (3 * hz) / 200;
}

function melToHz(mel: number, scale: LogMel["melScale"]): number {
  if (scale === "htk") return 700 * (10 ** (mel / 2595) - 1);
  if (scale === "kaldi") return 700 * (Math.exp(mel / 1127) - 1);
  return mel >= 15 ? 1000 * Math.exp(SLANEY_STEP * (mel - 15)) : (200 * mel) / 3;
}

function transposed(values: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)] as number);
}
