/**
 * Reading JSON data that somebody else wrote, field by field: each reader takes a value and its place, and names both.
 *
 * A place is a text like "manifest.json: variants[1].lengths"; that of a whole document ends with ": ".
 */

import { RuntimeBundleError } from "../errors.js";
import { checkRelativePath } from "./paths.js";
import type { Json, JsonObject } from "./strict_json.js";

export type Read<T> = (value: Json, where: string) => T;

/** A part of a document is of a kind that this release doesn't know; it may be skipped where the rest makes sense. */
export class UnknownPartError extends RuntimeBundleError {
  constructor(
    where: string,
    readonly reason: string,
  ) {
    super(`${top(where)}: ${reason}`, "manifest");
  }
}

/** The keys of one JSON object, taken one by one; `finish` refuses those that nobody took. */
export class Fields {
  private readonly left: Map<string, Json>;

  constructor(
    value: Json,
    private readonly where: string,
  ) {
    if (value === null || typeof value !== "object" || Array.isArray(value)) wrong(where, "an object", value);
    this.left = new Map(Object.entries(value));
  }

  /** The value at `key` as `read` gives it; an error where the key is missing. */
  take<T>(key: string, read: Read<T>): T {
    const value = this.left.get(key);
    if (value === undefined) {
      const place = below(this.where, key).split(": ");
      refuse(`${place[0]}: key '${place.slice(1).join(": ")}' is missing`);
    }
    this.left.delete(key);
    return read(value, below(this.where, key));
  }

  /** The same with a default for a missing key. */
  optional<T, D>(key: string, read: Read<T>, missing: D): T | D {
    return this.left.has(key) ? this.take(key, read) : missing;
  }

  /** Throw UnknownPartError for keys that are left. */
  finish(): void {
    const left = [...this.left.keys()].sort().slice(0, 5);
    if (left.length > 0) {
      throw new UnknownPartError(this.where, `unknown key ${left.map((key) => `'${key.slice(0, 80)}'`).join(", ")}`);
    }
  }
}

/** The place of `key` in the object at `where`. */
export function below(where: string, key: string): string {
  return where.endsWith(": ") ? where + key : `${where}.${key}`;
}

function top(where: string): string {
  return where.endsWith(": ") ? `${where}top level` : where;
}

/** Throw RuntimeBundleError for a value that can't be. */
export function refuse(message: string): never {
  throw new RuntimeBundleError(message, "manifest");
}

/** Throw RuntimeBundleError: what was expected at `where`, and what was found. */
export function wrong(where: string, expected: string, value: Json): never {
  const got =
    value !== null && typeof value !== "object" && typeof value !== "bigint" ? JSON.stringify(value) : kind(value);
  refuse(`${top(where)}: expected ${expected}, got ${got.slice(0, 200)}`);
}

function kind(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : String(value);
}

// one reader a kind of value

export const string: Read<string> = (value, where) =>
  typeof value === "string" ? value : wrong(where, "a string", value);

/** A text that isn't empty and fits a line. */
export const name: Read<string> = (value, where) =>
  typeof value === "string" && value !== "" && !/[\u0000-\u001f]/.test(value)
    ? value
    : wrong(where, "a non-empty string without control characters", value);

export const path: Read<string> = (value, where) => {
  const text = string(value, where);
  checkRelativePath(text, where);
  return text;
};

export const boolean: Read<boolean> = (value, where) =>
  typeof value === "boolean" ? value : wrong(where, "true or false", value);

export const number: Read<number> = (value, where) =>
  typeof value === "number" || typeof value === "bigint" ? Number(value) : wrong(where, "a number", value);

/** An integer from `low` to `high`. */
export function integer(low: number, high: number | bigint = 2n ** 63n - 1n): Read<number> {
  return (value, where) =>
    typeof value === "bigint" && value >= low && value <= high
      ? Number(value)
      : wrong(where, `an integer from ${low} to ${high}`, value);
}

export const sha256: Read<string> = (value, where) =>
  typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
    ? value
    : wrong(where, "64 lower-case hexadecimal digits", value);

/** An object that is handed on as it is. */
export const opaque: Read<JsonObject> = (value, where) =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? value : wrong(where, "an object", value);

/** Null, or what `read` takes. */
export function nullable<T>(read: Read<T>): Read<T | null> {
  return (value, where) => (value === null ? null : read(value, where));
}

export function listOf<T>(read: Read<T>): Read<T[]> {
  return (value, where) =>
    Array.isArray(value) ? value.map((item, index) => read(item, `${where}[${index}]`)) : wrong(where, "a list", value);
}

/** An object of at most `most` named values. */
export function objectOf<T>(read: Read<T>, most: number = 1000): Read<Record<string, T>> {
  return (value, where) => {
    const found = Object.entries(opaque(value, where));
    if (found.length > most) wrong(where, `an object of at most ${most} values`, value);
    return record(found.map(([key, item]) => [name(key, where), read(item, below(where, key.slice(0, 80)))]));
  };
}

/** An object without a prototype, so that no name from a bundle means anything. */
export function record<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const result = Object.create(null) as Record<string, T>;
  for (const [key, value] of entries) result[key] = value;
  return result;
}

export function oneOf<T extends string>(choices: readonly T[]): Read<T> {
  return (value, where) =>
    typeof value === "string" && (choices as readonly string[]).includes(value)
      ? (value as T)
      : wrong(where, `one of ${choices.join(", ")}`, value);
}
