/** One object of a tokenizer.json, read field by field; what is wrong is a RuntimeBundleError that names the place. */

import { RuntimeBundleError } from "../errors.js";
import { Vocabulary } from "./vocabulary.js";

const DEEPEST = 16; // parts inside parts; real files have two or three

export class Part {
  private readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    value: unknown,
    private readonly where: string,
    private readonly depth = 0,
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.wrong("", "an object", value);
    this.fields = value as Record<string, unknown>;
    if (depth > DEEPEST) refuse(`${where}: nested more than ${DEEPEST} deep`);
  }

  /** Whether the key is there and not null. */
  has(key: string): boolean {
    const value = Object.hasOwn(this.fields, key) ? this.fields[key] : undefined;
    return value !== undefined && value !== null;
  }

  /** The value as it is; an error where it is missing or null. */
  value(key: string): unknown {
    if (!this.has(key)) refuse(`${this.place(key)} is missing`);
    return this.fields[key];
  }

  string(key: string): string {
    const value = this.value(key);
    return typeof value === "string" ? value : this.wrong(key, "a string", value);
  }

  /** One character, as its code point. */
  character(key: string): number {
    const value = this.string(key);
    return [...value].length === 1 ? value.codePointAt(0)! : this.wrong(key, "one character", value);
  }

  boolean(key: string): boolean {
    const value = this.value(key);
    return typeof value === "boolean" ? value : this.wrong(key, "true or false", value);
  }

  integer(key: string): number {
    return this.toInteger(this.value(key), key);
  }

  toInteger(value: unknown, key: string): number {
    const isId = typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
    return isId ? value : this.wrong(key, "an integer from 0 to 2147483647", value);
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T {
    const value = this.string(key);
    return choices.find((choice) => choice === value) ?? this.wrong(key, `one of ${choices.join(", ")}`, value);
  }

  list(key: string): readonly unknown[] {
    const value = this.value(key);
    return Array.isArray(value) ? value : this.wrong(key, "a list", value);
  }

  part(key: string): Part {
    return new Part(this.value(key), this.place(key), this.depth + 1);
  }

  parts(key: string): readonly Part[] {
    return this.list(key).map((value, index) => new Part(value, `${this.place(key)}[${index}]`, this.depth + 1));
  }

  /** Token → id of an object. */
  vocabulary(key: string): Vocabulary {
    const value = this.value(key);
    if (typeof value !== "object" || Array.isArray(value)) this.wrong(key, "an object of tokens and ids", value);
    const written = value as Record<string, unknown>;
    const ids = new Map<string, number>();
    for (const token of Object.keys(written)) ids.set(token, this.toInteger(written[token], key));
    return new Vocabulary(ids);
  }

  /** Throws RuntimeBundleError: what was expected at `key`, and what was found. */
  wrong(key: string, expected: string, value: unknown): never {
    const isShort = value === null || typeof value !== "object";
    const got = isShort ? JSON.stringify(value)?.slice(0, 80) : Array.isArray(value) ? "a list" : "an object";
    return refuse(`${key === "" ? this.where : this.place(key)}: expected ${expected}, got ${got}`);
  }

  /** Throws RuntimeBundleError for what this runtime can't do. */
  unsupported(what: string): never {
    return refuse(`${this.where}: ${what}. Compile with another tokenizer, or take a newer runtime`);
  }

  /** Throws RuntimeBundleError: its type is none of a `kind` that this runtime knows. */
  unknown(kind: string): never {
    return this.unsupported(`${kind} '${this.string("type").slice(0, 80)}' isn't known`);
  }

  private place(key: string): string {
    return `${this.where}.${key}`;
  }
}

function refuse(message: string): never {
  throw new RuntimeBundleError(message);
}
