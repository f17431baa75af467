/**
 * A bundle in one .zip: read without trust. Stored or deflated members one behind the other; no comment, no bytes
 * before the first member, no encryption, no links. Its numbers may be those of a large archive (ZIP64).
 */

import { RuntimeBundleError } from "../errors.js";
import { MAX_BUNDLE_BYTES, MAX_FILES } from "./manifest_whole.js";
import { checkDistinct, checkRelativePath } from "./paths.js";
import { tooLong, type BundleSource } from "./source.js";

const MAX_RATIO = 200; // unpacked to packed; weights stay below 20, a bomb is at 1,000
const RATIO_FREE_BYTES = 1 << 20;
const TOTAL_FREE_BYTES = 32 << 20;
const MAX_DIRECTORY_BYTES = 16 << 20;
const NEWEST_VERSION = 63; // of what unpacking needs
const [END, LISTED, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];
const [LARGE_END, LARGE_LOCATOR] = [0x06064b50, 0x07064b50];
const LARGE = 0xffffffff; // "look into the record of a large archive"

interface Member {
  readonly name: string;
  readonly version: number;
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
  const layout = layoutOf(view);
  const listed = read(view, layout);
  const files = new Map<string, { member: Member; at: number }>();
  let end = 0;
  for (const member of [...listed].sort((a, b) => a.start - b.start)) {
    if (member.start < end || (end === 0 && member.start !== 0))
      refuse(`'${member.name}' starts where another one or nothing of it may be`);
    const at = contentStart(view, member);
    end = at + member.packed;
    if (end > layout.start) refuse(`'${member.name}' reaches into the list of members`);
    const folder = member.name.endsWith("/");
    checkRelativePath(folder ? member.name.slice(0, -1) : member.name, "bundle .zip");
    checkMember(member, folder);
    if (!folder) files.set(member.name, { member, at });
  }
  const sum = (key: "bytes" | "packed"): number => listed.reduce((total, member) => total + member[key], 0);
  if (sum("bytes") > MAX_BUNDLE_BYTES) refuse(`unpacks to more than ${MAX_BUNDLE_BYTES} bytes`);
  if (sum("bytes") > TOTAL_FREE_BYTES && sum("bytes") > MAX_RATIO * sum("packed"))
    refuse("unpacks to too much: refused as a bomb");
  const names = listed.map((member) => member.name);
  checkDistinct(
    names.filter((name) => !name.endsWith("/")),
    "bundle .zip",
  );
  return files;
}

/** Where the content of a member begins, behind a header that says the same as the list. */
function contentStart(view: DataView, { name, start }: Member): number {
  if (start > view.byteLength - 30 || view.getUint32(start, true) !== LOCAL) refuse(`'${name}' has no header`);
  const [nameBytes, extra] = [view.getUint16(start + 26, true), view.getUint16(start + 28, true)];
  const content = start + 30 + nameBytes + extra;
  if (content > view.byteLength || nameOf(view, start + 30, nameBytes) !== name)
    refuse(`'${name}' has another name in its own header`);
  return content;
}

/** Where the list of members lies, and how many it has. */
interface Layout {
  readonly count: number;
  readonly bytes: number;
  readonly start: number;
}

function layoutOf(view: DataView): Layout {
  const end = view.byteLength - 22;
  if (end < 0 || view.getUint32(end, true) !== END || view.getUint16(end + 20, true) !== 0)
    refuse("doesn't end as one, or has a comment");
  const counts = [4, 6, 8, 10].map((at) => view.getUint16(end + at, true));
  const [bytes, start] = [view.getUint32(end + 12, true), view.getUint32(end + 16, true)];
  if (counts.includes(0xffff) || bytes === LARGE || start === LARGE) return largeLayout(view, end - 20 - 56);
  const [disk, listDisk, here, count] = counts as [number, number, number, number];
  if (disk !== 0 || listDisk !== 0 || here !== count) refuse("is one of several volumes");
  return checkedLayout({ count, bytes, start }, end);
}

/** The same of an archive beyond 4 GB or 65,535 members, by the record at `at`. */
function largeLayout(view: DataView, at: number): Layout {
  if (
    at < 0 ||
    view.getUint32(at, true) !== LARGE_END ||
    view.getUint32(at + 56, true) !== LARGE_LOCATOR ||
    view.getUint32(at + 60, true) !== 0 ||
    large(view, at + 64) !== at ||
    view.getUint32(at + 72, true) !== 1
  )
    refuse("lacks the record of a large archive");
  const count = large(view, at + 32);
  if (view.getUint32(at + 16, true) !== 0 || view.getUint32(at + 20, true) !== 0 || large(view, at + 24) !== count)
    refuse("is one of several volumes");
  return checkedLayout({ count, bytes: large(view, at + 40), start: large(view, at + 48) }, at);
}

function checkedLayout(layout: Layout, end: number): Layout {
  if (layout.count > MAX_FILES) refuse(`holds ${layout.count} members: expected at most ${MAX_FILES}`);
  if (layout.bytes > MAX_DIRECTORY_BYTES) refuse(`its list of members has ${layout.bytes} bytes: expected fewer`);
  if (layout.start + layout.bytes !== end) refuse("its list of members ends elsewhere than it says");
  return layout;
}

function large(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

/** The members as the list at the archive's end has them. */
function read(view: DataView, { count, bytes, start }: Layout): Member[] {
  const end = start + bytes;
  const members: Member[] = [];
  for (let at = start; at < end;) {
    if (at + 46 > end || view.getUint32(at, true) !== LISTED || members.length === count) damagedList();
    const [nameBytes, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true)) as [
      number,
      number,
      number,
    ];
    const next = at + 46 + nameBytes + extra + comment;
    if (next > end) damagedList();
    const stated = [24, 20, 42].map((place) => view.getUint32(at + place, true));
    const sizes = largeNumbers(view, at + 46 + nameBytes, extra, stated);
    members.push({
      name: nameOf(view, at + 46, nameBytes),
      version: view.getUint16(at + 6, true),
      flags: view.getUint16(at + 8, true),
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      mode: view.getUint16(at + 40, true) & 0xf000,
      bytes: sizes[0] as number,
      packed: sizes[1] as number,
      start: sizes[2] as number,
    });
    at = next;
  }
  if (members.length !== count) damagedList();
  return members;
}

/** `stated`, where those that don't fit into 32 bits are in the extra field, in this order. */
function largeNumbers(view: DataView, extra: number, extraBytes: number, stated: readonly number[]): number[] {
  const found = [...stated];
  for (let at = extra, end = extra + extraBytes; at + 4 <= end;) {
    const next = at + 4 + view.getUint16(at + 2, true);
    if (next > end) damagedList();
    let place = at + 4;
    found.forEach((value, index) => {
      if (view.getUint16(at, true) !== 1 || value !== LARGE) return;
      if (place + 8 > next) damagedList();
      found[index] = large(view, place);
      place += 8;
    });
    at = next;
  }
  return found;
}

function damagedList(): never {
  return refuse("its list of members is damaged");
}

function checkMember(member: Member, folder: boolean): void {
  const { name, bytes, packed } = member;
  if (member.version > NEWEST_VERSION) refuse(`'${name}' needs version ${member.version} of the format`);
  if (![0, 0x8000, 0x4000].includes(member.mode)) refuse(`'${name}' is a link or a device: expected a regular file`);
  if (folder && bytes > 0) refuse(`'${name}' is a folder with ${bytes} bytes of its own`);
  if ((member.flags & 0x61) !== 0) refuse(`'${name}' is encrypted or a patch`);
  if (member.method !== 0 && member.method !== 8) refuse(`'${name}' is neither stored nor deflated`);
  if (member.method === 0 && packed !== bytes) refuse(`'${name}' is stored, with two sizes`);
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

function nameOf(view: DataView, at: number, size: number): string {
  try {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at, size);
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
