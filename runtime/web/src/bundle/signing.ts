/** Ed25519 signatures of bundles: who made it, where hashes only say that it is whole. Needs WebCrypto with Ed25519. */

import { EngineError, InputError, RuntimeBundleError } from "../errors.js";
import { SIGNATURE_NAME } from "./manifest_whole.js";
import { sha256 } from "./sha256.js";
import { readJson, type JsonObject } from "./strict_json.js";

export const MAX_SIGNATURE_BYTES = 4096;
// What stands before the 32 bytes of an Ed25519 key.
const SPKI = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/**
 * The id of the key that signed `manifest`. `keys` are public keys as PEM text, any of which may have signed.
 *
 * Throws RuntimeBundleError (code "signature"), InputError for a key that is none, EngineError where the platform lacks
 * Ed25519: a signature that can't be looked at is never taken for a good one.
 */
export async function checkSignature(
  manifest: Uint8Array,
  signatureFile: Uint8Array | null,
  keys: readonly string[],
): Promise<string> {
  const known = new Map<string, Uint8Array>();
  for (const key of keys) {
    const der = publicKey(key);
    known.set(await sha256(der), der);
  }
  if (known.size === 0) throw new InputError("key: expected the text of a public key (PEM), got none");
  if (signatureFile === null) refuse(`bundle: has no ${SIGNATURE_NAME}, and a key was given: expected a signed bundle`);
  const { keyId, signature } = parseSignature(signatureFile);
  const der = known.get(keyId);
  if (der === undefined)
    refuse(`${SIGNATURE_NAME}: signed with the key ${keyId}: expected ${[...known.keys()].join(" or ")}`);
  if (!(await verifies(der, signature, manifest))) {
    refuse(`manifest.json is not what the key ${keyId} signed: it was altered, or the signature is another bundle's`);
  }
  return keyId;
}

async function verifies(der: Uint8Array, signature: Uint8Array, content: Uint8Array): Promise<boolean> {
  const subtle = globalThis.crypto?.subtle;
  try {
    if (subtle === undefined) throw new Error("pages from http:// have no WebCrypto: serve it over https");
    const key = await subtle.importKey("spki", der as BufferSource, "Ed25519", false, ["verify"]);
    return await subtle.verify("Ed25519", key, signature as BufferSource, content as BufferSource);
  } catch (error) {
    throw new EngineError(`signatures can't be checked here: ${String(error)}: expected WebCrypto with Ed25519`);
  }
}

function publicKey(pem: string): Uint8Array {
  if (pem.includes("PRIVATE KEY")) throw new InputError("key: is a private key: give its public key (.pub.pem)");
  const body = /-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----/.exec(pem)?.[1];
  const der = body === undefined ? new Uint8Array() : fromBase64(body.replace(/\s/g, ""));
  if (der.length !== SPKI.length + 32 || SPKI.some((byte, index) => der[index] !== byte)) {
    throw new InputError("key: expected the PEM text of an Ed25519 public key");
  }
  return der;
}

function parseSignature(content: Uint8Array): { keyId: string; signature: Uint8Array } {
  let value: JsonObject;
  try {
    value = readJson(content, SIGNATURE_NAME, MAX_SIGNATURE_BYTES) as JsonObject;
  } catch (error) {
    return refuse((error as Error).message);
  }
  const keys = ["algorithm", "format_version", "key_id", "signature"];
  if (value === null || typeof value !== "object" || String(Object.keys(value).sort()) !== String(keys)) {
    refuse(`${SIGNATURE_NAME}: expected an object with the keys ${keys.join(", ")}`);
  }
  if (value["format_version"] !== 1n || value["algorithm"] !== "ed25519") {
    refuse(`${SIGNATURE_NAME}: expected format_version 1 and algorithm "ed25519": update edgeformer-web`);
  }
  const { key_id: keyId, signature: text } = value;
  if (typeof keyId !== "string" || !/^[0-9a-f]{64}$/.test(keyId)) {
    return refuse(`${SIGNATURE_NAME}: key_id: expected 64 lower-case hexadecimal digits`);
  }
  // 64 bytes have one spelling in base64: the last digit's four spare bits are 0.
  if (typeof text !== "string" || !/^[A-Za-z0-9+/]{85}[AQgw]==$/.test(text)) {
    return refuse(`${SIGNATURE_NAME}: signature: expected 64 bytes in base64`);
  }
  return { keyId, signature: fromBase64(text) };
}

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

function refuse(message: string): never {
  throw new RuntimeBundleError(message, "signature");
}
