/** Which relative paths a bundle may hold. Used for manifests, zip members and listings alike. */

import { RuntimeBundleError } from "../errors.js";
import { isWellFormed } from "./strict_json.js";

const MAX_PATH_BYTES = 1024;
const MAX_PART_BYTES = 255;
const MAX_PARTS = 32;
// Windows takes these for devices, with any ending and in any case.
const DEVICES = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9\u00b9\u00b2\u00b3])$/;
const UTF8 = new TextEncoder();

/** Throw RuntimeBundleError, code "path", unless `path` is plain, relative, POSIX and stays inside its directory. */
export function checkRelativePath(path: string, where: string): void {
  const problem = problemOf(path);
  if (problem === "") return;
  throw new RuntimeBundleError(
    `${where}: path ${JSON.stringify(path.slice(0, 200))} ${problem}: expected a relative path ` +
      "inside the bundle with " +
      "'/' between its parts. The bundle is damaged or was made to do harm: get it again from its source",
    "path",
  );
}

/** Throw where two paths are one file on some file system, or one is the folder of another. */
export function checkDistinct(paths: Iterable<string>, where: string): void {
  const seen = new Map<string, string>();
  const folders = new Map<string, string>();
  for (const path of paths) {
    const key = folded(path);
    const known = seen.get(key);
    if (known !== undefined) refuse(`${where}: paths '${known}' and '${path}' name one file on some file systems`);
    seen.set(key, path);
    for (const folder of parents(path)) {
      const other = folders.get(folded(folder));
      if (other !== undefined && other !== folder) {
        refuse(`${where}: folders '${other}' and '${folder}' are one on some file systems: expected one spelling`);
      }
      folders.set(folded(folder), folder);
    }
  }
  for (const [key, path] of seen) {
    for (const parent of parents(key)) {
      if (seen.has(parent)) refuse(`${where}: '${seen.get(parent)}' is both a file and the folder of '${path}'`);
    }
  }
}

/** The folders that a path lies in: "a/b/c" has "a" and "a/b". */
export function parents(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}

function refuse(message: string): never {
  throw new RuntimeBundleError(message, "path");
}

/**
 * One spelling of what differs in case or in Unicode form alone; letter by letter, so that a final sigma is a sigma.
 */
function folded(path: string): string {
  return Array.from(path.normalize("NFC"), (letter) => letter.toUpperCase().toLowerCase())
    .join("")
    .normalize("NFC");
}

function problemOf(path: string): string {
  if (!isWellFormed(path)) return "is not valid Unicode";
  if (path === "") return "is empty";
  if (/[\p{C}\p{Z}]/u.test(path.replaceAll(" ", ""))) return "holds a control character, or one that can't be seen";
  if (path.startsWith("/")) return "is absolute";
  if (/[\\:]/.test(path)) return "holds a backslash or a colon, which mean drives and folders on Windows";
  const parts = path.split("/");
  if (parts.includes("..")) return "leaves the bundle";
  if (parts.includes("") || parts.includes(".")) return "has an empty or '.' part";
  if (/[<>"|?*]/.test(path)) return "holds a character that Windows doesn't allow";
  if (parts.some((part) => /[. ]$/.test(part))) return "has a part that ends in a dot or a space, which Windows drops";
  if (parts.some((part) => DEVICES.test(folded((part.split(".")[0] as string).trimEnd())))) {
    return "names a device of Windows";
  }
  if (parts.length > MAX_PARTS) return `has more than ${MAX_PARTS} parts`;
  const longest = Math.max(...parts.map((part) => UTF8.encode(part).length));
  return UTF8.encode(path).length > MAX_PATH_BYTES || longest > MAX_PART_BYTES ? "is too long" : "";
}
