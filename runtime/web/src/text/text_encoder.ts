/** Texts to input tensors, one row at a time, by the tokenizer.json of the bundle. */

import { InputError, RuntimeBundleError } from "../errors.js";
import type { TensorSpec } from "../bundle/manifest.js";
import { tensor, type Tensor } from "../tensor.js";
import { readTokenizer, type Encoding, type Tokenizer } from "./index.js";
import type { EncodedText } from "../tasks/encoded.js";
import { promptText, type TextPreprocess } from "./text_preprocess.js";

const SOURCES = { tokens: "ids", mask: "attentionMask", token_types: "typeIds" } as const;

/** A text, or a pair of them. */
export type TextItem = string | readonly [string, string];

export class TextEncoder {
  private readonly tokenizer: Tokenizer;
  private readonly sources: readonly [string, (typeof SOURCES)[keyof typeof SOURCES]][];
  private readonly strange: string; // names of inputs

  /**
   * `inputs`: those of the model that texts feed. Throws RuntimeBundleError for a part or a setting of tokenizer.json
   * that this runtime doesn't know.
   */
  constructor(
    private readonly preprocess: TextPreprocess,
    tokenizerJson: Uint8Array,
    inputs: readonly TensorSpec[],
  ) {
    const strange = inputs.filter((spec) => spec.role === null || !(spec.role in SOURCES));
    this.strange = strange.map((spec) => spec.name).join(", ");
    this.sources = inputs.map((spec) => [spec.name, SOURCES[spec.role as keyof typeof SOURCES]]);
    this.tokenizer = readTokenizer(tokenizerJson);
  }

  /** (text, second text or null); throws InputError naming what the model takes. */
  private row(item: unknown): readonly [string, string | null] {
    const { takes } = this.preprocess;
    if (takes.includes("text") && typeof item === "string") return [item, null];
    if (
      takes.includes("pair") &&
      Array.isArray(item) &&
      item.length === 2 &&
      item.every((part) => typeof part === "string")
    ) {
      return item as unknown as readonly [string, string];
    }
    const wanted = takes.map((what) => (what === "text" ? "a text" : "a pair [text, text]")).join(" or ");
    throw new InputError(`predict: this model takes ${wanted}, got ${String(JSON.stringify(item)).slice(0, 80)}`);
  }

  /**
   * One text or pair, cut to the model's length; throws InputError when it can't be cut to fit, RuntimeBundleError for
   * inputs that no text makes.
   */
  encode(item: unknown, prompt: string | null = null): EncodedText {
    // Not when it is made: a session opens all the same, for tensors.
    if (this.strange !== "")
      throw new RuntimeBundleError(`inputs ${this.strange} can't be made from text: use session.run with tensors`);
    const source = this.row(item);
    const before = promptText(this.preprocess, prompt);
    const encoding = this.tokenizer.encode(before + source[0], source[1], {
      maxLength: this.preprocess.maxLength,
      strategy: this.preprocess.cut === "second" ? "only_second" : "longest_first",
      direction: this.preprocess.truncation,
    });
    if (encoding.ids.length === 0)
      throw new InputError(`text '${source[0].slice(0, 60)}' gives no tokens: expected some text`);
    return {
      feeds: Object.fromEntries(this.sources.map(([name, from]) => [name, this.tensor(from, encoding[from])])),
      tokens: encoding.ids.length,
      truncated: encoding.truncated,
      tokensCut:
        source[1] !== null && this.preprocess.cut !== "second" && encoding.truncated ? null : encoding.tokensCut,
      source,
      ...places(encoding, Array.from(before).length),
    };
  }

  /** int64 [1, tokens]. */
  private tensor(from: string, values: readonly number[]): Tensor {
    const missing = this.preprocess.padToMax ? this.preprocess.maxLength - values.length : 0;
    const fill = from === "ids" ? this.preprocess.padTokenId : 0;
    const filled = [...values, ...Array<number>(Math.max(missing, 0)).fill(fill)];
    return tensor("int64", [1, filled.length], filled);
  }
}

/** Offsets, words and texts of an encoding whose first text begins at code point `prompt`. */
function places(encoding: Encoding, prompt: number): Pick<EncodedText, "offsets" | "words" | "texts"> {
  const offsets: [number, number][] = [];
  const words: (number | null)[] = [];
  const texts: (number | null)[] = [];
  encoding.offsets.forEach(([start, end], index) => {
    const text = encoding.sequenceIds[index] ?? null;
    const before = text === 0 ? prompt : 0;
    const inside = start >= before || end > before;
    offsets.push(inside ? [Math.max(start - before, 0), end - before] : [0, 0]);
    words.push(inside ? (encoding.wordIds[index] ?? null) : null);
    texts.push(inside ? text : null);
  });
  return { offsets, words, texts };
}
