// How fast the web runtime is: node tests/apps/web/bench.mjs BUNDLE PAGE [TOKENIZERS], one line of JSON. Needs build/web, which
// test_web.py makes. BUNDLE: of texts, with an ONNX variant; PAGE: its page as one file; TOKENIZERS: of tests/tokenizers/real.py.
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const WEB = join(ROOT, "build", "web");
const require = createRequire(join(WEB, "package.json"));
const load = (path) => import(pathToFileURL(path).href);
const [bundle, page, tokenizers = join(ROOT, "build", "tokenizers")] = process.argv.slice(2);
const TOKENS = 64;
const [FEW, MANY] = [1_000, 100_000];

const { folderSource, Session, tensor } = {
  ...(await load(join(WEB, "build/src/index.js"))),
  ...(await load(join(WEB, "build/src/node/index.js"))),
};
const { onnxRuntime } = await load(join(WEB, "build/test/tools.js"));

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function inChromium(use) {
  const puppeteer = require("puppeteer-core");
  const executablePath = process.env.EDGEFORMER_CHROMIUM ?? "/usr/bin/chromium";
  const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--no-first-run"] });
  try {
    return await use(await browser.newPage());
  } finally {
    await browser.close();
  }
}

/** MB of UTF-8 a second of each tokenizer, in Chromium: the median of five runs over real texts. */
async function tokenizerSpeeds() {
  const names = Object.keys(JSON.parse(readFileSync(join(tokenizers, "origins.json"), "utf8")));
  const server = createServer((request, response) => {
    const file = join(request.url.startsWith("/tokenizers/") ? join(tokenizers, "..") : WEB, request.url);
    if (request.url === "/") return response.setHeader("content-type", "text/html").end("<title>x</title>");
    if (!existsSync(file)) return response.writeHead(404).end();
    response.setHeader("content-type", "text/javascript");
    createReadStream(file).pipe(response);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  try {
    return await inChromium(async (tab) => {
      await tab.goto(`http://127.0.0.1:${server.address().port}/`);
      return tab.evaluate(async (known) => {
        const { readTokenizer } = await import("/build/src/text/index.js");
        const texts = await (await fetch("/tokenizers/texts.json")).json();
        const real = texts.filter((text) => text.length > 60).slice(0, 1000);
        const bytes = real.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0);
        const speeds = {};
        for (const name of known) {
          const content = await (await fetch(`/tokenizers/${name}.json`)).arrayBuffer();
          const tokenizer = readTokenizer(new Uint8Array(content));
          const seconds = [1, 2, 3, 4, 5].map(() => {
            const start = performance.now();
            for (const text of real)
              tokenizer.encode(text, null, { maxLength: 512, strategy: "longest_first", direction: "right" });
            return (performance.now() - start) / 1e3;
          });
          speeds[name] = bytes / 1e6 / seconds.sort((a, b) => a - b)[2];
        }
        return speeds;
      }, names);
    });
  } finally {
    server.close();
  }
}

/** A session's run beside the bare call of its engine, in turns, at 64 tokens. */
async function overhead() {
  const ort = require("onnxruntime-web/wasm");
  const session = await Session.open(folderSource(bundle), { engines: [onnxRuntime()], variant: "onnx" });
  const shape = [1, TOKENS];
  const feeds = {};
  const bare = {};
  for (const { name, dtype } of session.manifest.inputs) {
    feeds[name] = tensor(dtype, shape, new Array(TOKENS).fill(1));
    bare[name] = new ort.Tensor(dtype, feeds[name].data, shape);
  }
  const content = readFileSync(
    join(bundle, session.variant.graphs.main?.path ?? Object.values(session.variant.graphs)[0].path),
  );
  const engine = await ort.InferenceSession.create(content);
  const wanted = Object.fromEntries(engine.inputNames.map((name) => [name, bare[name]]));
  const [ours, theirs] = [[], []];
  for (let run = 0; run < 120; run++) {
    for (const [times, call] of [
      [ours, () => session.run(feeds)],
      [theirs, () => engine.run(wanted)],
    ]) {
      const start = performance.now();
      await call();
      if (run >= 20) times.push(performance.now() - start);
    }
  }
  await engine.release();
  await session.close();
  const [a, b] = [median(ours), median(theirs)];
  return { overhead_ratio: a / b - 1, overhead_us: (a - b) * 1e3 };
}

/** Resident memory of Node after a thousand calls and after a hundred thousand, of a tiny model. */
async function memory() {
  const tiny = join(ROOT, "tests/conformance/bundles/text-classification");
  const session = await Session.open(folderSource(tiny), { engines: [onnxRuntime()] });
  const found = {};
  for (let call = 1; call <= MANY; call++) {
    await session.predict(["good bad"]);
    if (call === FEW || call === MANY) {
      globalThis.gc?.();
      found[`after ${call}`] = process.memoryUsage().rss / 1e6;
    }
  }
  await session.close();
  return found;
}

/** Seconds from the request of the page to the first labels, of a text that is typed as soon as there is a field. */
function firstPrediction() {
  return inChromium(async (tab) => {
    const start = performance.now();
    await tab.goto(pathToFileURL(resolve(page)).href, { waitUntil: "domcontentloaded" });
    await tab.waitForSelector("#text");
    await tab.type("#text", "The striker scored twice.");
    await tab.waitForSelector(".scores", { timeout: 300_000 });
    return (performance.now() - start) / 1e3;
  });
}

const result = {
  tokenizer_mb_per_s: await tokenizerSpeeds(),
  ...(await overhead()),
  memory_mb: await memory(),
  first_prediction_s: await firstPrediction(),
};
console.log(JSON.stringify(result));
process.exit(0);
