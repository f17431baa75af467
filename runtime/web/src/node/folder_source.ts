/** A bundle's folder on the disk. Links, devices and other non-files are refused, not followed. */

import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";

import { tooLong, type BundleSource } from "../bundle/source.js";
import { MAX_FILES } from "../bundle/manifest_whole.js";
import { RuntimeBundleError } from "../errors.js";

const MAX_DEPTH = 32;

/**
 * Files are opened without following links; what is hashed is what is used, so a later change of the disk does no harm.
 */
export function folderSource(folder: string): BundleSource {
  const where = `bundle ${folder}`;
  return {
    where,
    list: async () => {
      const found = new Map<string, number>();
      await scan(folder, "", 1, found);
      return found;
    },
    read: async (path, mostBytes) => {
      const place = join(folder, ...path.split("/"));
      const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
          throw new RuntimeBundleError(`${where}: '${path}' can't be read: ${error.message}`, "files");
        },
      );
      if (file === null) return null;
      try {
        const status = await file.stat();
        if (!status.isFile() || status.nlink > 1) refuse(path, "is no regular file with one name");
        if (status.size > mostBytes) tooLong(where, path, mostBytes);
        return new Uint8Array(await file.readFile());
      } finally {
        await file.close();
      }
    },
  };

  async function scan(directory: string, prefix: string, depth: number, found: Map<string, number>): Promise<void> {
    if (depth > MAX_DEPTH) refuse(prefix, `lies more than ${MAX_DEPTH} folders deep`);
    for (const name of await readdir(directory)) {
      const [place, path] = [join(directory, name), prefix + name];
      const status = await lstat(place);
      if (status.isDirectory()) await scan(place, `${path}/`, depth + 1, found);
      else if (!status.isFile() || status.nlink > 1) refuse(path, "is a link or a device: expected a regular file");
      else found.set(path, status.size);
      if (found.size > MAX_FILES) refuse(path, `is one of more than ${MAX_FILES} files`);
    }
  }

  function refuse(path: string, problem: string): never {
    throw new RuntimeBundleError(`${where}: '${path}' ${problem}`, "files");
  }
}
