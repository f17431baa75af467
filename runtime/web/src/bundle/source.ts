/** Where a bundle's files come from. A source only reads: every check is the bundle's. */

import { RuntimeBundleError } from "../errors.js";
import { MANIFEST_NAME, SIGNATURE_NAME } from "./manifest_whole.js";

export interface BundleSource {
  /** For messages: "bundle https://…". */
  readonly where: string;
  /** {path: bytes} of all that is there; null where a source can't tell (a web server lists nothing). */
  list(): Promise<ReadonlyMap<string, number> | null>;
  /** The content of a file; null where there is none. `mostBytes`: stop reading there, and throw. */
  read(path: string, mostBytes: number): Promise<Uint8Array | null>;
}

/** Files in memory, such as those inside a page. */
export function memorySource(files: ReadonlyMap<string, Uint8Array>, where: string = "bundle"): BundleSource {
  return {
    where,
    list: async () => new Map([...files].map(([path, content]) => [path, content.length])),
    read: async (path, mostBytes) => {
      const content = files.get(path);
      if (content !== undefined && content.length > mostBytes) tooLong(where, path, mostBytes);
      return content ?? null;
    },
  };
}

/**
 * A bundle's folder on a web server. The server isn't asked for a list of its files, so one that is there and not
 * listed in the manifest is never seen, and never read; those that are listed are fetched, and checked, when they are
 * needed.
 */
export function urlSource(folder: string | URL): BundleSource {
  const base = new URL(String(folder).replace(/\/?$/, "/"), globalThis.location?.href);
  const where = `bundle ${base.href}`;
  return {
    where,
    list: async () => null,
    read: async (path, mostBytes) => {
      const url = new URL(path.split("/").map(encodeURIComponent).join("/"), base);
      const response = await fetch(url).catch((error: unknown) => {
        throw new RuntimeBundleError(`${where}: '${path}' can't be fetched: ${String(error)}`, code(path));
      });
      if (response.status === 404 || response.status === 410 || isWebPage(response)) return null;
      if (!response.ok)
        throw new RuntimeBundleError(`${where}: '${path}': the server says ${response.status}`, code(path));
      return readAll(response, path, mostBytes, where);
    },
  };
}

/** Servers of apps answer with a page where they have no file; a bundle's listed files are none. */
function isWebPage(response: Response): boolean {
  return response.ok && (response.headers.get("content-type") ?? "").startsWith("text/html");
}

async function readAll(response: Response, path: string, mostBytes: number, where: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const part = await reader?.read();
    if (part === undefined || part.done) break;
    size += part.value.length;
    if (size > mostBytes) {
      await reader?.cancel();
      tooLong(where, path, mostBytes);
    }
    parts.push(part.value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What a file that is longer than it may be is refused with. */
export function tooLong(where: string, path: string, mostBytes: number): never {
  throw new RuntimeBundleError(`${where}: '${path}': expected at most ${mostBytes} bytes`, "files");
}

function code(path: string): "not-a-bundle" | "signature" | "files" {
  if (path === MANIFEST_NAME) return "not-a-bundle";
  return path === SIGNATURE_NAME ? "signature" : "files";
}
