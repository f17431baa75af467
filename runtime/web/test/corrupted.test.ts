/** Bundles that are damaged, altered or hostile have the code that every reader gives: tests/conformance/README.md. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  cp,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";

import { Bundle } from "../src/bundle/bundle.js";
import { readGolden } from "../src/bundle/golden.js";
import { zipSource } from "../src/bundle/zip.js";
import { RuntimeBundleError } from "../src/errors.js";
import { folderSource } from "../src/node/index.js";
import { openTextEncoder } from "../src/predictor.js";
import { shortMemory } from "../src/selection/memory.js";
import { Session } from "../src/session.js";
import { CONFORMANCE, onnxRuntime } from "./tools.js";

const MAX_MS = 1000; // of the processor's time
const MAX_KB = 256 << 10;

/** Position, bytes deleted, text as Latin-1, how often it is inserted. */
type Edit = readonly [number, number, string, number];

interface Change {
  readonly change: "edit" | "delete" | "folder" | "link" | "hard-link" | "grow";
  readonly file?: string;
  readonly edits?: readonly Edit[];
  readonly to?: string;
  readonly bytes?: number;
}

interface Corrupted {
  readonly name: string;
  readonly bundle: string;
  readonly changes: readonly Change[];
  readonly keys?: readonly string[];
  readonly code: string | null;
}

const all = JSON.parse(readFileSync(join(CONFORMANCE, "corrupted.json"), "utf8")) as Corrupted[];

describe("corrupted bundles", () => {
  assert.ok(all.length >= 60);
  for (const known of all) {
    test(`${known.name}: ${known.code ?? "sound"}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "edgeformer-"));
      try {
        await check(known, await made(known, folder), folder);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }
});

test("a tokenizer that isn't known is refused when a session is opened", async () => {
  const tokenizers = all.filter(({ name }) => name.startsWith("tokenizer_"));
  assert.ok(tokenizers.some(({ code }) => code === null) && tokenizers.some(({ code }) => code !== null));
  for (const known of tokenizers) {
    const folder = await mkdtemp(join(tmpdir(), "edgeformer-"));
    try {
      const source = folderSource(await made(known, folder));
      const session = await Session.open(source, { engines: [onnxRuntime()], memory: shortMemory() });
      assert.deepEqual([known.code, session.selfCheck.status], [null, "passed"], known.name);
      await session.close();
    } catch (error) {
      assert.ok(error instanceof RuntimeBundleError, String(error));
      assert.equal(error.code, known.code, known.name);
    } finally {
      await rm(folder, { recursive: true });
    }
  }
});

async function check(known: Corrupted, place: string, folder: string): Promise<void> {
  const before = await readdir(folder, { recursive: true });
  const [start, memory] = [process.cpuUsage(), process.resourceUsage().maxRSS];
  assert.equal(await codeOf(place, known.keys), known.code);
  const { user, system } = process.cpuUsage(start);
  assert.ok((user + system) / 1000 < MAX_MS, `${(user + system) / 1000} ms`);
  assert.ok(process.resourceUsage().maxRSS - memory < MAX_KB);
  assert.deepEqual(await readdir(folder, { recursive: true }), before);
}

/** What opening it, and reading its golden rows and its tokenizer, ends with; null where it is sound. */
async function codeOf(place: string, keys: readonly string[] | undefined): Promise<string | null> {
  const known = keys?.map((name) => readFileSync(join(CONFORMANCE, "keys", name), "utf8"));
  try {
    const source = place.endsWith(".zip") ? zipSource(readFileSync(place)) : folderSource(place);
    const bundle = await Bundle.open(source, known);
    await readGolden(bundle);
    await openTextEncoder(bundle);
  } catch (error) {
    assert.ok(error instanceof RuntimeBundleError, String(error));
    return error.code;
  }
  return null;
}

/** The bundle, or the .zip of one, in `folder`. */
async function made(known: Corrupted, folder: string): Promise<string> {
  const place = join(folder, known.bundle.slice(known.bundle.lastIndexOf("/") + 1));
  await cp(join(CONFORMANCE, known.bundle), place, { recursive: true });
  const outside = join(folder, "outside");
  for (const change of known.changes) await apply(change, join(place, change.file ?? ""), outside);
  return place;
}

async function apply(change: Change, file: string, outside: string): Promise<void> {
  switch (change.change) {
    case "delete":
      return rm(file);
    case "folder":
      await rm(file, { force: true });
      return void (await mkdir(file, { recursive: true }));
    case "link":
      await mkdir(dirname(file), { recursive: true });
      if (change.to === undefined) await rename(file, outside);
      else await rm(file, { force: true });
      return symlink(change.to ?? outside, file);
    case "hard-link":
      return link(file, outside);
    case "grow":
      await writeFile(file, "", { flag: "a" });
      return truncate(file, change.bytes);
    case "edit":
      return writeFile(file, edited(await readFile(file).catch(() => Buffer.alloc(0)), change.edits ?? []));
  }
}

function edited(content: Buffer, edits: readonly Edit[]): Buffer {
  return edits.reduce((bytes, [at, deleted, text, times]) => {
    const inserted = Buffer.alloc(text.length * times, Buffer.from(text, "latin1"));
    return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + deleted)]);
  }, content);
}
