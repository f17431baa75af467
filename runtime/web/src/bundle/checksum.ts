/** The checksum of manifest.json: a flipped bit anywhere in it is found without a signature. */

import { RuntimeBundleError } from "../errors.js";
import { sha256 } from "./sha256.js";
import type { Json } from "./strict_json.js";

const HASHED_FROM = 83; // bytes: behind the lines of the brace and of the key itself

/** Throw RuntimeBundleError unless the key "checksum" of the document, where there is one, is that of its bytes. */
export async function checkChecksum(bytes: Uint8Array, document: Json): Promise<void> {
  const stated = (document as { checksum?: string | null }).checksum ?? null;
  if (stated === null) return; // written by hand
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, HASHED_FROM));
  if (head === `{\n "checksum": "${stated}",\n` && (await sha256(bytes.subarray(HASHED_FROM))) === stated) return;
  throw new RuntimeBundleError(
    `manifest.json: expected the checksum ${stated}, which isn't that of its text: the file is damaged or altered, ` +
      "get the " +
      "bundle again. If you changed it on purpose, remove its key 'checksum'",
    "checksum",
  );
}
