/** How a text becomes input tensors: the settings of FORMAT.md's kind "text". */

import {
  below,
  boolean,
  Fields,
  integer,
  listOf,
  name,
  nullable,
  objectOf,
  oneOf,
  path,
  refuse,
  string,
  wrong,
  type Read,
} from "../bundle/json_fields.js";
import { InputError } from "../errors.js";

export interface TextPreprocess {
  readonly kind: "text";
  /** Path of tokenizer.json inside the bundle. */
  readonly tokenizer: string;
  /** Tokens, special ones included. */
  readonly maxLength: number;
  readonly padTokenId: number;
  /** The side of the text that loses tokens. */
  readonly truncation: "right" | "left";
  readonly takes: readonly ("text" | "pair")[];
  readonly cut: "longest" | "second";
  readonly padToMax: boolean;
  readonly prompts: Readonly<Record<string, string>>;
  readonly defaultPrompt: string | null;
}

/** Throws RuntimeBundleError naming the place, UnknownPartError for a key that is unknown. */
export const readText: Read<TextPreprocess> = (value, where) => {
  const fields = new Fields(value, where);
  const preprocess: TextPreprocess = {
    kind: fields.take("kind", oneOf(["text"])),
    takes: fields.optional("takes", listOf(oneOf(["text", "pair"])), ["text"]),
    tokenizer: fields.take("tokenizer", path),
    maxLength: fields.take("max_length", integer(1, 1 << 20)),
    padTokenId: fields.take("pad_token_id", integer(0)),
    truncation: fields.optional("truncation", oneOf(["right", "left"]), "right"),
    prompts: fields.optional("prompts", objectOf(string), {}),
    defaultPrompt: fields.optional("default_prompt", nullable(name), null),
    cut: fields.optional("cut", oneOf(["longest", "second"]), "longest"),
    padToMax: fields.optional("pad_to_max", boolean, false),
  };
  fields.finish();
  if (preprocess.takes.length === 0) wrong(below(where, "takes"), "text, pair or both", []);
  if (preprocess.defaultPrompt !== null && !Object.hasOwn(preprocess.prompts, preprocess.defaultPrompt)) {
    refuse(`${where}.default_prompt '${preprocess.defaultPrompt}' is none of its prompts`);
  }
  return preprocess;
};

/** What a prompt puts before a text; null is the bundle's default prompt, or nothing, and "" is nothing. */
export function promptText(preprocess: TextPreprocess, called: string | null): string {
  const wanted = called ?? preprocess.defaultPrompt ?? "";
  if (wanted === "") return "";
  if (!Object.hasOwn(preprocess.prompts, wanted)) {
    const known = Object.keys(preprocess.prompts).join(", ") || "none";
    throw new InputError(`prompt '${wanted}': the bundle has no prompt of this name, it has ${known}`);
  }
  return preprocess.prompts[wanted] as string;
}
