/**
 * JSON that somebody else wrote: what is ambiguous, endless or huge is refused before it costs anything.
 *
 * Integers are bigint, numbers with a point or an exponent are number: a field that wants an integer can tell 1 from
 * 1.0. The only error that leaves this file is RuntimeBundleError, with the code "json" unless another is asked for.
 */

import { RuntimeBundleError } from "../errors.js";

export const MAX_MANIFEST_BYTES = 8 << 20;
const MAX_VALUES = 300_000;
const MAX_DIGITS = 19;
const MAX_DEPTH = 64; // a number or text in the innermost object counts, too

export type Json = null | boolean | bigint | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** The JSON data of `bytes`; `what` names the document in messages. */
export function readJson(bytes: Uint8Array, what: string, maxBytes: number = MAX_MANIFEST_BYTES): Json {
  if (bytes.length > maxBytes) refuse(`${what} has ${bytes.length} bytes: expected at most ${maxBytes}`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse(`${what} is not JSON (it is not UTF-8): the file is damaged, get the bundle again`);
  }
  // Commas inside strings count too, so this is an upper bound, taken before anything is built.
  const values = (text.match(/[,[{]/g)?.length ?? 0) + 1;
  if (values > MAX_VALUES) refuse(`${what} holds up to ${values} values: expected at most ${MAX_VALUES}`);
  return new Parser(text, what).document();
}

/** Data without bigint, for what a reader hands on. */
export function plain(value: Json): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

function refuse(message: string): never {
  throw new RuntimeBundleError(message, "json");
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const WORDS: readonly [string, Json][] = [
  ["true", true],
  ["false", false],
  ["null", null],
];

class Parser {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly what: string,
  ) {}

  document(): Json {
    const value = this.value(1);
    this.take(SPACE);
    if (this.at < this.text.length) this.wrong("something follows its end");
    return value;
  }

  private value(depth: number): Json {
    if (depth > MAX_DEPTH) refuse(`${this.what} is nested too deeply: expected at most ${MAX_DEPTH} levels`);
    this.take(SPACE);
    const head = this.text.charAt(this.at);
    if (head === "{") return this.object(depth);
    if (head === "[") return this.list(depth);
    if (head === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  private object(depth: number): JsonObject {
    // A prototype-less object: "__proto__" is a key like any other.
    const result = Object.create(null) as JsonObject;
    this.members("}", () => {
      if (this.text.charAt(this.at) !== '"') this.wrong("a key was expected");
      const key = this.string();
      if (Object.hasOwn(result, key)) this.wrong(`key ${JSON.stringify(key.slice(0, 80))} occurs twice in one object`);
      this.take(SPACE);
      if (this.text.charAt(this.at++) !== ":") this.wrong("a colon was expected");
      result[key] = this.value(depth + 1);
    });
    return result;
  }

  private list(depth: number): Json[] {
    const result: Json[] = [];
    this.members("]", () => result.push(this.value(depth + 1)));
    return result;
  }

  private members(end: string, read: () => void): void {
    this.at++;
    this.take(SPACE);
    if (this.text.charAt(this.at) === end) {
      this.at++;
      return;
    }
    for (;;) {
      this.take(SPACE);
      read();
      this.take(SPACE);
      const next = this.text.charAt(this.at++);
      if (next === end) return;
      if (next !== ",") this.wrong(`"," or "${end}" was expected`);
    }
  }

  private string(): string {
    const value = JSON.parse(
      this.take(STRING) ?? this.wrong("a text isn't closed, or holds what it may not"),
    ) as string;
    if (!isWellFormed(value)) refuse(`${this.what}: string ${JSON.stringify(value.slice(0, 80))} is not valid Unicode`);
    return value;
  }

  private number(): Json {
    const text = this.take(NUMBER) ?? this.wrong("a value was expected");
    if (/[.eE]/.test(text)) {
      const value = Number(text);
      if (!Number.isFinite(value)) this.wrong(`number ${text.slice(0, 40)} is beyond the range of a double`);
      return value;
    }
    const digits = text.replace("-", "").length;
    if (digits > MAX_DIGITS) this.wrong(`integer of ${digits} digits`);
    return BigInt(text);
  }

  /** What `pattern` matches here, which is then behind; undefined where it doesn't. */
  private take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    this.at += found?.length ?? 0;
    return found;
  }

  private wrong(problem: string): never {
    refuse(`${this.what} is not JSON (${problem}, character ${this.at}): the file is damaged, get the bundle again`);
  }
}

/** Whether no half of a surrogate pair stands alone. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
