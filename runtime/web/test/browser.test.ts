/**
 * Pages that `edgeformer export-web` wrote, in headless Chromium: as one file, from a server, and cross-origin
 * isolated.
 */

import assert from "node:assert/strict";
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import puppeteer, { type Browser, type Page } from "puppeteer-core";

import { CONFORMANCE, EXPECTED, skip } from "./tools.js";

const BROWSER = process.env["EDGEFORMER_CHROMIUM"] ?? "";
const LITERT_LOG = /^(INFO|WARNING|VERBOSE): /; // it writes its log as errors
const PAGES = join(EXPECTED, "pages");
const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Opened {
  readonly page: Page;
  readonly problems: string[];
}

interface Cases {
  readonly cases: readonly { readonly prediction: { readonly label: string; readonly score: number } }[];
}

function serve(folder: string, isolated: boolean): Promise<Server> {
  const server = createServer((request, response) => {
    const path = join(folder, decodeURIComponent(new URL(request.url as string, "http://x").pathname));
    const file = existsSync(path) && statSync(path).isDirectory() ? join(path, "index.html") : path;
    if (!existsSync(file)) return void response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    if (isolated) {
      response.setHeader("cross-origin-opener-policy", "same-origin");
      response.setHeader("cross-origin-embedder-policy", "require-corp");
    }
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

describe("exported pages", { skip: skip || (BROWSER === "" && "EDGEFORMER_CHROMIUM names no browser") }, () => {
  let browser: Browser;
  const servers: Server[] = [];
  let [plain, isolated] = ["", ""];
  before(async () => {
    browser = await launch();
    servers.push(await serve(join(PAGES, "folder"), false), await serve(join(PAGES, "folder"), true));
    [plain, isolated] = servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`) as [
      string,
      string,
    ];
  });
  after(async () => {
    await browser.close();
    servers.forEach((server) => server.close());
  });

  function launch(...more: string[]): Promise<Browser> {
    const args = ["--no-sandbox", "--no-first-run", "--disable-background-networking", ...more];
    return puppeteer.launch({ executablePath: BROWSER, args });
  }

  /**
   * The page, once its model has answered the golden rows. Whatever it complains of, or asks from elsewhere, is a
   * failure.
   */
  async function open(url: string, width: number = 800, within: Browser = browser): Promise<Opened> {
    const page = await within.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" && !LITERT_LOG.test(message.text())) problems.push(message.text());
    });
    page.on(
      "request",
      (request) =>
        void (/^https?:/.test(request.url()) && !request.url().startsWith(url) && problems.push(request.url())),
    );
    await page.evaluateOnNewDocument(() => {
      Object.assign(window, { shifted: 0 });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries())
          (window as never as { shifted: number }).shifted += (entry as never as { value: number }).value;
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.setViewport({ width, height: 900 });
    await page.goto(url);
    await page.waitForSelector("dd.good, p.bad", { timeout: 60_000 });
    return { page, problems };
  }

  async function texts(page: Page, selector: string): Promise<string[]> {
    return page.$$eval(selector, (found) => found.map((item) => item.textContent ?? ""));
  }

  async function checkAccessible(page: Page): Promise<void> {
    await page.evaluate(AXE); // by the debugger: the page's own policy lets no script in
    for (const [scheme, width] of [
      ["light", 1200],
      ["dark", 360],
    ] as const) {
      await page.setViewport({ width, height: 900 });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished)));
      const found = (await page.evaluate("axe.run()")) as { violations: { id: string; nodes: { html: string }[] }[] };
      assert.deepEqual(
        found.violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]),
        [],
        `${scheme}, ${width}`,
      );
      const wider = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.equal(wider, 0, `${width} pixels are too few`);
    }
  }

  test("of a text classifier: one file for each engine, and a folder with both", async () => {
    const urls = ["onnx.html", "tflite.html"].map((name) => `file://${join(PAGES, name)}`);
    for (const [index, url] of [...urls, plain, isolated].entries()) {
      const { page, problems } = await open(url, index % 2 === 0 ? 800 : 360);
      const facts = await texts(page, "dd");
      assert.match(facts[0] as string, /^✓ agree: 7 rows, least similarity (1\.0|0\.9999)/);
      assert.match(facts[1] as string, url === isolated ? /, [0-9]+ threads?$/ : /, 1 thread$/);
      assert.match(facts[2] as string, /^a worker/);
      await page.keyboard.press("Tab");
      await page.keyboard.type("Good bad GOOD.");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".scores");
      const known = JSON.parse(readFileSync(join(CONFORMANCE, "cases/text-classification.json"), "utf8")) as Cases;
      const { label, score } = (known.cases[0] as Cases["cases"][number]).prediction;
      assert.deepEqual((await texts(page, ".scores li"))[0], `${label}${(100 * score).toFixed(1)} %`);
      assert.equal(await page.evaluate("window.shifted"), 0);
      await checkAccessible(page);
      assert.equal(await page.evaluate("crossOriginIsolated"), url === isolated);
      assert.deepEqual(problems, []);
      await page.close();
    }
  });

  test("measures, and hands out the report", async () => {
    const { page, problems } = await open(`file://${join(PAGES, "onnx.html")}`);
    await page.click("#speed button");
    await page.waitForSelector("#speed a:not([hidden])", { timeout: 60_000 });
    assert.match(
      (await texts(page, "#speed p"))[0] as string,
      /^median [0-9.]+ ms, 95 % below [0-9.]+ ms, [0-9]+ runs/,
    );
    const saved = await page.$eval("#speed a", async (link) => (await fetch((link as HTMLAnchorElement).href)).json());
    const { delegation, threads } = saved as { delegation: string[]; threads: number };
    assert.equal(threads, 1);
    for (const said of [/isolated/, /^the engine runs in a worker/, /^WebGPU: not asked for/])
      assert.ok(
        delegation.some((line) => said.test(line)),
        String(said),
      );
    assert.equal(await page.evaluate("window.shifted"), 0);
    await checkAccessible(page);
    assert.deepEqual(problems, []);
    await page.close();
  });

  test("of pictures: the file is decoded as everywhere, labels are one's own", async () => {
    const { page, problems } = await open(`file://${join(PAGES, "zero-shot.html")}`);
    const input = await page.$("input[type=file]");
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(join(EXPECTED, "opaque.png"));
    await page.waitForSelector(".scores");
    const { scores } = JSON.parse(readFileSync(join(EXPECTED, "opaque.json"), "utf8")) as {
      scores: Record<string, number>;
    };
    const ranked = Object.entries(scores)
      .sort((a, b) => b[1] - a[1])
      .map(([label, score]) => `${label}${(100 * score).toFixed(1)} %`);
    assert.deepEqual(await texts(page, ".scores li"), ranked);
    await page.focus("#labels");
    await page.keyboard.down("Control");
    await page.keyboard.press("End");
    await page.keyboard.up("Control");
    await page.keyboard.type("\nsky");
    await page.waitForFunction(
      () => document.querySelectorAll(".scores li").length !== 3 || document.querySelector(".bad") !== null,
    );
    await checkAccessible(page);
    assert.deepEqual(problems, []);
    await page.close();
  });

  test("of entities, answers, vectors, sounds", async () => {
    for (const [name, given, expected] of [
      ["token-classification", { text: "Ann lives in Romes." }, /Ann\s*PER.*LOC/s],
      ["question-answering", { question: "Ann lives in", context: "Ann lives in Rome." }, /\S/],
      ["feature-extraction", { text: "good bad", other: "bad" }, /dot -?[0-9.]+/],
    ] as const) {
      const { page, problems } = await open(`file://${join(PAGES, `${name}.html`)}`);
      for (const [id, text] of Object.entries(given)) await page.type(`#${id}`, text);
      await page.waitForFunction(() => document.querySelector("#result .time")?.textContent !== "");
      assert.match((await texts(page, "#result"))[0] as string, expected);
      await checkAccessible(page);
      assert.deepEqual(problems, []);
      await page.close();
    }
    const { page, problems } = await open(`file://${join(PAGES, "audio-classification.html")}`);
    const input = await page.$("input[type=file]");
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(
      join(CONFORMANCE, "inputs/sound.wav"),
    );
    await page.waitForSelector(".scores");
    assert.match((await texts(page, ".scores li"))[0] as string, /^loud8/);
    assert.deepEqual(problems, []);
    await page.close();
  });

  test("what can't be is said in a sentence", async () => {
    const { page, problems } = await open(`file://${join(PAGES, "onnx.html")}`);
    const result = async (): Promise<string> => (await texts(page, "#result"))[0] as string;
    await page.click("#input button[type=submit]");
    await page.waitForSelector("#result [role=alert]");
    assert.match(await result(), /Type a text first/);
    await checkAccessible(page);
    await page.click("#input button[type=button]"); // an example
    await page.waitForSelector(".scores");
    await page.$eval("#text", (area) => ((area as HTMLTextAreaElement).value = "good bad ".repeat(1_200_000)));
    await page.click("#input button[type=submit]");
    await page.evaluate(() => Object.assign(window, { begin: performance.now() }));
    assert.ok(
      ((await page.evaluate(
        "new Promise((done) => setTimeout(() => done(performance.now() - begin), 50))",
      )) as number) < 2000,
    );
    await page.waitForSelector("#result .hint.bad", { timeout: 120_000 });
    assert.match(await result(), /a part was left out/);
    assert.deepEqual(problems, []);
    await page.close();

    const other = await open(`file://${join(PAGES, "zero-shot.html")}`);
    const input = await other.page.$("input[type=file]");
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(join(EXPECTED, "opaque.json"));
    await other.page.waitForSelector("#result [role=alert]");
    assert.match((await texts(other.page, "#result"))[0] as string, /expected JPEG, PNG or WebP/);
    await checkAccessible(other.page);
    await other.page.close();

    const folder = await open(`file://${join(PAGES, "folder/index.html")}`);
    assert.match((await texts(folder.page, "[role=alert]"))[0] as string, /^This page was opened from a file/);
    await checkAccessible(folder.page);
    await folder.page.close();
  });

  test("without a worker the engine runs in the page, and the page says so", async () => {
    const page = await browser.newPage();
    await page.evaluateOnNewDocument(() => Object.defineProperty(window, "Worker", { value: undefined }));
    await page.goto(`file://${join(PAGES, "tflite.html")}`);
    await page.waitForSelector("dd.good");
    assert.match((await texts(page, "dd"))[2] as string, /^the page, which stands still .* gives it no worker/);
    await page.type("#text", "good");
    await page.waitForSelector(".scores");
    await page.close();
  });

  test("WebGPU without half precision isn't used", async () => {
    const flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
    const software = await launch(...flags);
    try {
      for (const [within, said] of [
        [browser, /^WebGPU isn't used: (this browser has no WebGPU|WebGPU finds no GPU)/],
        [software, /^WebGPU isn't used: its GPU doesn't compute in half precision \(shader-f16\)/],
      ] as const) {
        const { page } = await open(`file://${join(PAGES, "tflite.html")}`, 1200, within);
        await page.click("#speed button.button");
        await page.waitForFunction(() => document.querySelector("#speed p")?.textContent?.startsWith("WebGPU"));
        assert.match((await texts(page, "#speed p"))[0] as string, said);
        await page.type("#text", "good");
        await page.waitForSelector(".scores");
        assert.equal(await page.evaluate("window.shifted"), 0);
        await page.close();
      }
    } finally {
      await software.close();
    }
  });
});
