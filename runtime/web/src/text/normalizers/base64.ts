/** Base64 with padding, as RFC 4648 has it. */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The bytes, or null where `text` is no base64. */
export function decodeBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0) return null;
  const digits = text.endsWith("==") ? text.length - 2 : text.endsWith("=") ? text.length - 1 : text.length;
  const values = new Map([...ALPHABET].map((character, value) => [character, value]));
  const bytes = new Uint8Array(Math.floor((digits * 3) / 4));
  let bits = 0;
  let pending = 0;
  let length = 0;
  for (let index = 0; index < digits; index++) {
    const value = values.get(text[index]!);
    if (value === undefined) return null;
    pending = ((pending << 6) | value) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[length++] = (pending >> bits) & 0xff;
  }
  return bytes;
}
