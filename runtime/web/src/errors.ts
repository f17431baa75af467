/** The error tree. A message says what failed, where, what was expected, what was found, and what to do next. */

/** Root of every error that this runtime throws on purpose. */
export class EdgeformerError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The call, or what it was given, is wrong. */
export class InputError extends EdgeformerError {}

/** A session was used after it was closed. */
export class ClosedError extends InputError {}

/** No engine here can run the variant, or the engine failed while running it. */
export class EngineError extends EdgeformerError {}

/** FORMAT.md, "Codes of errors". */
export type BundleErrorCode =
  | "not-a-bundle"
  | "json"
  | "format-version"
  | "manifest"
  | "checksum"
  | "path"
  | "files"
  | "zip"
  | "signature"
  | "golden"
  | "bundle";

/** A bundle is damaged, altered, unsafe to open, or newer than this runtime; `code` is the same in every language. */
export class RuntimeBundleError extends EdgeformerError {
  readonly code: BundleErrorCode;

  constructor(message: string, code: BundleErrorCode = "bundle", options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
