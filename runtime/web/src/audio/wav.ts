/** WAV files to samples of one channel (FORMAT.md, "Sounds"). */

import { InputError } from "../errors.js";

export const MAX_SAMPLES = 1 << 26; // of all channels together
const GUID_TAIL = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
const UNKNOWN_SIZE = 0xffffffff;

/** Samples of about ±1. `notes`: what was done to them, a sentence each. */
export interface Sound {
  readonly samples: Float32Array;
  readonly rateHz: number;
  readonly notes?: readonly string[];
}

type Sample = (view: DataView, at: number) => number;
const SAMPLES: Readonly<Record<string, Sample>> = {
  "1/8": (view, at) => (view.getUint8(at) - 128) / 128,
  "1/16": (view, at) => view.getInt16(at, true) / 2 ** 15,
  "1/24": (view, at) => (view.getInt8(at + 2) * 65536 + view.getUint16(at, true)) / 2 ** 23,
  "1/32": (view, at) => view.getInt32(at, true) / 2 ** 31,
  "3/32": (view, at) => view.getFloat32(at, true),
  "3/64": (view, at) => view.getFloat64(at, true),
};

interface Header {
  readonly channels: number;
  readonly rateHz: number;
  readonly bits: number;
  readonly sample: Sample;
}

/** The sound of a WAV file's bytes; throws InputError for what is none, cut off, damaged or of another encoding. */
export function decodeWav(bytes: Uint8Array): Sound {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 12 || tag(view, 0) !== "RIFF" || tag(view, 8) !== "WAVE")
    throw wrong("expected a WAV file (RIFF…WAVE)");
  let header: Header | null = null;
  let at = 12;
  for (let chunks = 0; at + 8 <= bytes.length; chunks++) {
    if (chunks === 1000) throw wrong("it has more than 1000 chunks");
    const [kind, said] = [tag(view, at), view.getUint32(at + 4, true)];
    const size = Math.min(said, bytes.length - at - 8);
    const chunk = new DataView(view.buffer, view.byteOffset + at + 8, size);
    if (kind === "fmt ") header = readHeader(chunk);
    if (kind === "data") {
      if (header === null) throw wrong("its samples come before its header");
      if (said !== UNKNOWN_SIZE && said > size) throw wrong(`it says ${said} bytes of samples and holds ${size}`);
      return readSamples(chunk, header);
    }
    at += 8 + said + (said % 2);
  }
  throw wrong("it has no samples");
}

/** Samples as float32; throws InputError for none, NaN, infinity, and what is no sound of about ±1. */
export function checkSound(sound: Sound): Sound {
  const { samples, rateHz } = sound;
  if (!(rateHz >= 1000 && rateHz <= 192_000))
    throw new InputError(`sound: a rate of ${rateHz} Hz: expected 1000 to 192000`);
  if (samples.length < 1 || samples.length > MAX_SAMPLES) throw new InputError(`sound: has ${samples.length} samples`);
  for (const value of samples) {
    if (!(Math.abs(value) <= 1000))
      throw new InputError(`sound: a sample is ${value}: expected about ±1 (16 bits: divide by 32768)`);
  }
  return sound;
}

function readHeader(view: DataView): Header {
  if (view.byteLength < 16) throw wrong("its header has less than 16 bytes");
  let kind = view.getUint16(0, true);
  if (kind === 0xfffe) {
    if (view.byteLength < 40) throw wrong("its extensible header has less than 40 bytes");
    if (GUID_TAIL.every((byte, index) => view.getUint8(26 + index) === byte)) kind = view.getUint16(24, true);
  }
  const [channels, rateHz] = [view.getUint16(2, true), view.getUint32(4, true)];
  const [block, bits] = [view.getUint16(12, true), view.getUint16(14, true)];
  const sample = SAMPLES[`${kind}/${bits}`];
  if (sample === undefined) throw wrong(`encoding ${kind} of ${bits} bits: expected PCM of 8 to 32 bits, or floats`);
  if (channels < 1 || channels > 64) throw wrong(`${channels} channels: expected 1 to 64`);
  if (block !== (channels * bits) / 8)
    throw wrong(`its header says ${block} bytes for ${channels} channels of ${bits} bits`);
  return { channels, rateHz, bits, sample };
}

function readSamples(view: DataView, header: Header): Sound {
  const { channels, bits, sample } = header;
  const width = bits / 8;
  if (view.byteLength % (width * channels) !== 0) throw wrong("its samples end within one");
  if (view.byteLength / width > MAX_SAMPLES) throw wrong(`has more than ${MAX_SAMPLES} samples`);
  const samples = new Float32Array(view.byteLength / (width * channels));
  for (let i = 0; i < samples.length; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += sample(view, (i * channels + c) * width);
    samples[i] = sum / channels;
  }
  const notes = channels > 1 ? [`${channels} channels were averaged into one`] : [];
  return checkSound({ samples, rateHz: header.rateHz, notes });
}

function tag(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((index) => view.getUint8(at + index)));
}

function wrong(problem: string): InputError {
  return new InputError(`sound: ${problem}: record or convert it again, as WAV`);
}
