/**
 * A bundle in one .zip: read without trust. Stored or deflated members one behind the other; no comment, no bytes before the
 * first member, no encryption, no links, no archive beyond 4 GB.
 */

import { RuntimeBundleError } from "../errors.js";
import { MAX_FILES } from "./manifest_whole.js";
import { checkDistinct, checkRelativePath } from "./paths.js";
import { tooLong, type BundleSource } from "./source.js";

const MAX_RATIO = 200; // unpacked to packed; weights stay below 20, a bomb is at 1,000
const RATIO_FREE_BYTES = 1 << 20;
const TOTAL_FREE_BYTES = 32 << 20;
const [END, LISTED, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];
const LOCAL_BYTES = 30;

interface Member {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly bytes: number;
  readonly mode: number;
  readonly start: number;
}

/** Throws RuntimeBundleError with the code "zip" or "path" where the archive isn't plain. */
export function zipSource(archive: Uint8Array, where: string = "bundle .zip"): BundleSource {
  const members = membersOf(archive);
  return {
    where,
    list: async () => new Map([...members].map(([name, { member }]) => [name, member.bytes])),
    read: async (path, mostBytes) => {
      const found = members.get(path);
      if (found === undefined) return null;
      if (found.member.bytes > mostBytes) tooLong(where, path, mostBytes);
      const packed = archive.subarray(found.at, found.at + found.member.packed);
      const content = found.member.method === 0 ? packed : await inflated(packed, found.member);
      if (content.length !== found.member.bytes || crc32(content) !== found.member.crc) refuse(`'${path}' is damaged`);
      return content;
    },
  };
}

function membersOf(archive: Uint8Array): Map<string, { member: Member; at: number }> {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.length);
  const listed = read(view);
  const files = new Map<string, { member: Member; at: number }>();
  let end = 0;
  for (const member of [...listed].sort((a, b) => a.start - b.start)) {
    if (member.start < end || (end === 0 && member.start !== 0))
      refuse(`'${member.name}' starts where another one or nothing of it may be`);
    const at = contentOf(view, member);
    end = at + member.packed;
    if (end > archive.length) refuse(`'${member.name}' reaches beyond the end`);
    const folder = member.name.endsWith("/");
    checkRelativePath(folder ? member.name.slice(0, -1) : member.name, "bundle .zip");
    checkMember(member, folder);
    if (!folder) files.set(member.name, { member, at });
  }
  const sum = (key: "bytes" | "packed"): number => listed.reduce((total, member) => total + member[key], 0);
  if (sum("bytes") > TOTAL_FREE_BYTES && sum("bytes") > MAX_RATIO * sum("packed"))
    refuse("unpacks to too much: refused as a bomb");
  const names = listed.map((member) => member.name);
  checkDistinct(
    names.filter((name) => !name.endsWith("/")),
    "bundle .zip",
  );
  return files;
}

/** Where a member's content begins, behind a header that says the same name as the list. */
function contentOf(view: DataView, { name, start }: Member): number {
  if (start + LOCAL_BYTES > view.byteLength || view.getUint32(start, true) !== LOCAL) refuse(`'${name}' has no header`);
  const nameBytes = view.getUint16(start + 26, true);
  const at = start + LOCAL_BYTES + nameBytes;
  if (at > view.byteLength) refuse(`'${name}' reaches beyond the end`);
  if (nameOf(new Uint8Array(view.buffer, view.byteOffset + start + LOCAL_BYTES, nameBytes)) !== name)
    refuse(`'${name}' has another name in its own header`);
  return at + view.getUint16(start + 28, true);
}

/** The list of members at the archive's end. */
function read(view: DataView): Member[] {
  const end = view.byteLength - 22;
  if (end < 0 || view.getUint32(end, true) !== END || view.getUint16(end + 20, true) !== 0)
    refuse("doesn't end as one, or has a comment");
  const [disk, listDisk, here, count] = [4, 6, 8, 10].map((at) => view.getUint16(end + at, true)) as [
    number,
    number,
    number,
    number,
  ];
  const [bytes, start] = [view.getUint32(end + 12, true), view.getUint32(end + 16, true)];
  if (count === 0xffff || bytes === 0xffffffff || start === 0xffffffff)
    refuse("has more than 4 GB or 65,534 members, which this runtime doesn't read");
  if (disk !== 0 || listDisk !== 0 || here !== count) refuse("is one of several volumes");
  if (start + bytes !== end) refuse("its list of members ends elsewhere than it says");
  if (count > MAX_FILES) refuse(`holds ${count} members: expected at most ${MAX_FILES}`);
  const members: Member[] = [];
  for (let at = start; at < end;) {
    if (at + 46 > end || view.getUint32(at, true) !== LISTED || members.length === count)
      refuse("its list of members is damaged");
    const [nameBytes, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true)) as [
      number,
      number,
      number,
    ];
    if (at + 46 + nameBytes > end) refuse("its list of members is damaged");
    members.push({
      name: nameOf(new Uint8Array(view.buffer, view.byteOffset + at + 46, nameBytes)),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packed: view.getUint32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      mode: view.getUint16(at + 40, true) & 0xf000,
      start: view.getUint32(at + 42, true),
    });
    at += 46 + nameBytes + extra + comment;
  }
  if (members.length !== count) refuse("its list of members is damaged");
  return members;
}

function checkMember(member: Member, folder: boolean): void {
  const { name, bytes, packed } = member;
  if (![0, 0x8000, 0x4000].includes(member.mode)) refuse(`'${name}' is a link or a device: expected a regular file`);
  if (folder && bytes > 0) refuse(`'${name}' is a folder with ${bytes} bytes of its own`);
  if ((member.flags & 1) !== 0) refuse(`'${name}' is encrypted`);
  if (member.method !== 0 && member.method !== 8) refuse(`'${name}' is neither stored nor deflated`);
  if (bytes > RATIO_FREE_BYTES && bytes > MAX_RATIO * Math.max(1, packed))
    refuse(`'${name}' unpacks to too much: refused as a bomb`);
}

async function inflated(packed: Uint8Array, member: Member): Promise<Uint8Array> {
  const content = new Uint8Array(member.bytes);
  let size = 0;
  try {
    const reader = new Blob([packed as BlobPart])
      .stream()
      .pipeThrough(new DecompressionStream("deflate-raw"))
      .getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      content.set(part.value, size); // throws where there is more than the list says
      size += part.value.length;
    }
  } catch (error) {
    refuse(`'${member.name}' can't be unpacked: ${String(error)}`);
  }
  return content.subarray(0, size);
}

function nameOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("a name isn't in UTF-8");
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (CRC[(value ^ byte) & 255] as number) ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function refuse(problem: string): never {
  throw new RuntimeBundleError(`not a readable .zip: ${problem}: get the file again, or pack it anew`, "zip");
}
