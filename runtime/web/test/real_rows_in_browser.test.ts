/** Real texts in headless Chromium, by both engines: the labels and numbers that the Python runtime has for them. */

import assert from "node:assert/strict";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { test } from "node:test";
import puppeteer, { type Page } from "puppeteer-core";

import type { LiteRtModule } from "../src/engines/litert.js";
import type { OnnxRuntimeModule } from "../src/engines/onnxruntime.js";
import { REPOSITORY, ROOT } from "./tools.js";

const FOLDER = process.env["EDGEFORMER_REAL_ROWS"] ?? "";
const BROWSER = process.env["EDGEFORMER_CHROMIUM"] ?? "";
const skip =
  (FOLDER === "" && "EDGEFORMER_REAL_ROWS names no folder that tests/apps/real_rows.py wrote") ||
  (BROWSER === "" && "EDGEFORMER_CHROMIUM names no browser");
const MODULES = join(ROOT, "node_modules");
const AT_ONCE = 50;
const TYPES: Record<string, string> = { ".html": "text/html", ".wasm": "application/wasm" };
// What stands for a bare name of a package, which no browser resolves.
const UTILITIES = '"/node_modules/@litertjs/wasm-utils/dist/index.js"';

interface Known {
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  readonly label: string;
}

interface Row {
  readonly text: string;
  readonly variants: Readonly<Record<string, Known>>;
}

/** `/bundle/…`, `/node_modules/…`, `/edgeformer-web.js` and an empty page. */
function serve(): ReturnType<typeof createServer> {
  return createServer((request, response) => {
    const path = new URL(request.url as string, "http://x").pathname;
    if (path === "/")
      return void response.setHeader("content-type", "text/html").end("<!doctype html><title>x</title>");
    const file = path.startsWith("/bundle/")
      ? join(FOLDER, path)
      : path.startsWith("/node_modules/")
        ? join(MODULES, path.slice("/node_modules/".length))
        : join(REPOSITORY, "edgeformer", "web", "files", path);
    if (!existsSync(file)) return void response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(file)] ?? "text/javascript");
    if (file.endsWith("core/dist/index.js"))
      return void response.end(readFileSync(file, "utf8").replace('"@litertjs/wasm-utils"', UTILITIES));
    createReadStream(file).pipe(response);
  });
}

type Opened = {
  predict(items: string[]): Promise<{ label: string }[]>;
  encode(item: string): Promise<{ feeds: never }>;
};

/** Open one variant in the page, as `window.session`. */
async function open(page: Page, variant: string, engine: string): Promise<void> {
  await page.evaluate(
    async (name, kind) => {
      const load = (path: string): Promise<never> => import(path) as Promise<never>;
      const runtime = (await load("/edgeformer-web.js")) as typeof import("../src/index.js");
      let made;
      if (kind === "litert") {
        const litert = (await load("/node_modules/@litertjs/core/dist/index.js")) as LiteRtModule & {
          loadLiteRt(path: string): Promise<void>;
        };
        await litert.loadLiteRt("/node_modules/@litertjs/core/wasm/");
        made = new runtime.LiteRt(litert);
      } else {
        const ort = (await load("/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs")) as OnnxRuntimeModule;
        ort.env.wasm.wasmPaths = { wasm: "/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm" };
        made = new runtime.OnnxRuntime(ort);
      }
      const options = { engines: [made], variant: name, selfCheck: "always" as const };
      Object.assign(window, { session: await runtime.Session.open(runtime.urlSource("/bundle/"), options) });
    },
    variant,
    engine,
  );
}

/** Labels and outputs of texts. */
async function answers(page: Page, texts: readonly string[]): Promise<Known[]> {
  return page.evaluate(async (items) => {
    const { session } = window as never as { session: Opened & { run(feeds: never): Promise<object> } };
    const found = [];
    for (const text of items) {
      const { feeds } = await session.encode(text);
      const outputs = Object.entries(await session.run(feeds)).map(([name, { data }]) => [name, [...data]]);
      const [prediction] = await session.predict([text]);
      found.push({ label: prediction?.label ?? "", outputs: Object.fromEntries(outputs) });
    }
    return found as never;
  }, texts);
}

/** For each row 1 − |a − b|² / (2 · max(|a| |b|, m²)), m the median length of the expected rows (FORMAT.md). */
function similarities(found: readonly number[][], expected: readonly number[][]): number[] {
  const norm = (values: readonly number[]): number => Math.hypot(...values);
  const middle = expected.map(norm).sort((a, b) => a - b)[Math.floor(expected.length / 2)] as number;
  return found.map((row, index) => {
    const other = expected[index] as number[];
    const apart = norm(row.map((value, at) => value - (other[at] as number)));
    return 1 - apart ** 2 / (2 * Math.max(norm(row) * norm(other), middle ** 2));
  });
}

test("real texts have Python's labels and outputs", { skip }, async (context) => {
  const rows = readFileSync(join(FOLDER, "rows.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
  const server = serve();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await puppeteer.launch({ executablePath: BROWSER, args: ["--no-sandbox", "--no-first-run"] });
  try {
    for (const [variant, engine] of [
      ["tflite", "litert"],
      ["onnx", "onnxruntime"],
    ] as const) {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await open(page, variant, engine);
      const found: Known[] = [];
      for (let at = 0; at < rows.length; at += AT_ONCE)
        found.push(
          ...(await answers(
            page,
            rows.slice(at, at + AT_ONCE).map((row) => row.text),
          )),
        );
      const known = rows.map((row) => row.variants[variant] as Known);
      const flat = (items: readonly Known[]): number[][] =>
        items.map(({ outputs }) => Object.keys(known[0]?.outputs ?? {}).flatMap((name) => [...(outputs[name] ?? [])]));
      const close = similarities(flat(found), flat(known));
      const labels = found.filter((item, index) => item.label === known[index]?.label).length;
      const apart = flat(found).map((row, index) => {
        const other = flat(known)[index] as number[];
        return (
          Math.max(...row.map((value, i) => Math.abs(value - (other[i] as number)))) / Math.max(...other.map(Math.abs))
        );
      });
      const measured =
        `${variant}: ${labels} of ${rows.length} labels, least similarity ${Math.min(...close)}, ` +
        `most apart ${Math.max(...apart)} of the largest number`;
      context.diagnostic(measured);
      assert.equal(labels, rows.length, measured);
      assert.ok(Math.min(...close) > 0.9999, measured);
      assert.ok(engine !== "litert" || Math.max(...apart) < 1e-5, measured); // Python's is the same engine
      await page.close();
    }
  } finally {
    await browser.close();
    server.close();
  }
});
