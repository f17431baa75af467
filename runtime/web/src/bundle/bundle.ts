/**
 * Opening a bundle: every check is made before an engine or a tokenizer sees a byte of it.
 *
 * The order is: format version, fields, paths, checksum; signature where a key is given; which files are there, sizes,
 * SHA-256. What remains is what the producer wrote; whether to trust the producer is the caller's decision, or the
 * key's.
 */

import { RuntimeBundleError } from "../errors.js";
import type { FileEntry, Manifest } from "./manifest.js";
import { readManifest } from "./manifest_reader.js";
import { MANIFEST_NAME, SIGNATURE_NAME } from "./manifest_whole.js";
import { checkDistinct } from "./paths.js";
import { sha256 } from "./sha256.js";
import { checkSignature, MAX_SIGNATURE_BYTES } from "./signing.js";
import type { BundleSource } from "./source.js";
import { MAX_MANIFEST_BYTES } from "./strict_json.js";

const REPORTS = ["report.json", "report.html"];
const MAX_REPORT_BYTES = 64 << 20;

/**
 * A verified bundle. Every file is hashed again when it is read: what is given out is what the manifest names, whatever
 * became of the source meanwhile, and nothing is kept in memory.
 */
export class Bundle {
  private constructor(
    readonly manifest: Manifest,
    /** SHA-256 of manifest.json, which names the whole content but the reports. */
    readonly digest: string,
    /** The id of the key that the signature was checked with; null where no key was given. */
    readonly signedBy: string | null,
    private source: BundleSource | null,
  ) {}

  /**
   * Open and verify the bundle of `source`. `keys`: public keys (PEM text); the bundle must then be signed with one.
   *
   * A source that lists its files (a folder, an archive) has all of them checked here. One that can't (a web server)
   * has each checked when it is first read, so that a page fetches the files of the variant that it runs, and no
   * others.
   *
   * Throws RuntimeBundleError, whose `code` says what is wrong.
   */
  static async open(source: BundleSource, keys?: readonly string[]): Promise<Bundle> {
    const content = await source.read(MANIFEST_NAME, MAX_MANIFEST_BYTES);
    if (content === null) {
      throw new RuntimeBundleError(
        `${source.where}: has no ${MANIFEST_NAME}: expected what 'edgeformer compile' writes`,
        "not-a-bundle",
      );
    }
    const manifest = await readManifest(content);
    const signedBy =
      keys === undefined
        ? null
        : await checkSignature(content, await source.read(SIGNATURE_NAME, MAX_SIGNATURE_BYTES), keys);
    const sizes = await source.list();
    if (sizes !== null) {
      checkListing(source.where, sizes, manifest);
      for (const entry of manifest.files) await verified(source, entry);
    }
    return new Bundle(manifest, await sha256(content), signedBy, source);
  }

  /** The content of one file of the manifest; throws RuntimeBundleError where it isn't one, or isn't what it was. */
  async read(path: string): Promise<Uint8Array> {
    const entry = this.manifest.files.find((item) => item.path === path);
    if (entry === undefined)
      throw new RuntimeBundleError(`bundle '${this.manifest.name}': '${path}' is not among its files`);
    if (this.source === null) throw new RuntimeBundleError(`bundle '${this.manifest.name}': is closed`);
    return verified(this.source, entry);
  }

  has(path: string): boolean {
    return this.manifest.files.some((entry) => entry.path === path);
  }

  /** Let go of the source. */
  close(): void {
    this.source = null;
  }
}

async function verified(source: BundleSource, entry: FileEntry): Promise<Uint8Array> {
  const content = await source.read(entry.path, entry.bytes);
  if (content === null)
    refuse(`${source.where}: '${entry.path}' is missing: the copy is incomplete, copy the bundle again`);
  if (content.length !== entry.bytes) {
    refuse(
      `${source.where}: '${entry.path}': expected ${entry.bytes} bytes, got ${content.length}: ` +
        "it is damaged or altered",
    );
  }
  const digest = await sha256(content);
  if (digest !== entry.sha256) {
    refuse(
      `${source.where}: '${entry.path}': expected SHA-256 ${entry.sha256}, got ${digest}: it is damaged or altered`,
    );
  }
  return content;
}

/** The manifest's files have to be there, of any size; beside them manifest.json, its signature and reports may be. */
function checkListing(where: string, sizes: ReadonlyMap<string, number>, manifest: Manifest): void {
  const listed = new Set(manifest.files.map((entry) => entry.path));
  const present = [...sizes.keys()].filter((path) => path !== MANIFEST_NAME);
  checkDistinct(present, where);
  const allowed = new Map([
    [SIGNATURE_NAME, MAX_SIGNATURE_BYTES],
    ...REPORTS.map((name) => [name, MAX_REPORT_BYTES] as const),
  ]);
  for (const path of present) {
    const limit = allowed.get(path);
    if (listed.has(path)) continue;
    if (limit === undefined)
      refuse(`${where}: '${path}' is not in ${MANIFEST_NAME}: expected only files of the bundle`);
    if ((sizes.get(path) as number) > limit) refuse(`${where}: '${path}': expected at most ${limit} bytes`);
  }
  for (const path of listed) {
    if (!sizes.has(path)) refuse(`${where}: '${path}' is missing: the copy is incomplete, copy the bundle again`);
  }
}

function refuse(message: string): never {
  throw new RuntimeBundleError(message, "files");
}
