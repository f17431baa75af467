// What the Python package ships: the runtime as one module, and the page.
// `node build.mjs [FOLDER]`, by default into that package.
import { build } from "esbuild";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "..", "..", "edgeformer", "web", "files");
const settings = {
  bundle: true,
  minify: true,
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  write: false,
};

const read = (name) => readFileSync(join(here, "page", name), "utf8");
const files = { "page.html": read("page.html").replace("%STYLE%", () => read("page.css")) };
// The page's script is a plain one: a page from a file may load no modules, and a worker starts it once more.
for (const [name, entry, format] of [
  ["edgeformer-web.js", "src/index.ts", "esm"],
  ["page.js", "page/page.ts", "iife"],
]) {
  const { outputFiles } = await build({ ...settings, format, absWorkingDir: here, entryPoints: [entry] });
  files[name] = outputFiles[0].text;
}
mkdirSync(folder, { recursive: true });
for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
const sizes = Object.entries(files).map(([name, text]) => [
  name,
  { bytes: Buffer.byteLength(text), gzipped: gzipSync(text, { level: 9 }).length },
]);
console.log(JSON.stringify(Object.fromEntries(sizes)));
