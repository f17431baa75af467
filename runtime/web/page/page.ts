/** The page that `edgeformer export-web` writes: a form, the model's answer, whether it is right here, and how fast. */

import { Session } from "../src/session.js";
import { element, section } from "./elements.js";
import { loadEngines } from "./engines.js";
import { pageFiles, readConfig } from "./files.js";
import { inputForm, type Given } from "./inputs.js";
import { shown } from "./results.js";
import { Bundle } from "../src/bundle/bundle.js";

const config = readConfig();
const main = document.getElementById("main") as HTMLElement;
const answer = element("div", { "aria-live": "polite" }, element("p", { class: "hint" }, "Loading the model …"));
const time = element("p", { class: "time" });
const facts = new Map(["Golden rows", "Engine", "Variant", "Bundle"].map((name) => [name, element("dd", {}, "…")]));
const skipped = element("ul", { class: "plain" });
const speed = element("p", { class: "hint" }, "Not measured yet.");
const measure = element("button", { type: "button", disabled: "" }, "Measure");
const save = element("a", { class: "button", hidden: "", download: "report.json" }, "Save the report");

let session: Session | null = null;
let waiting: Given | null = null;
let running = false;

/** Everything has its place before the first file is loaded, so that nothing moves later. */
async function start(): Promise<void> {
  const files = pageFiles(config);
  const { manifest } = await Bundle.open(files.bundle);
  const form = inputForm(manifest, (given) => void give(given));
  const task = manifest.task.name.replaceAll("-", " ");
  (document.getElementById("task") as HTMLElement).textContent = task.charAt(0).toUpperCase() + task.slice(1);
  const list = element("dl", {}, ...[...facts].flatMap(([name, value]) => [element("dt", {}, name), value]));
  facts.get("Golden rows")?.classList.add("two");
  const result = section("result", "Result", answer, time);
  result.style.setProperty("--rows", String(Math.min(Math.max(config.labels, 2), 10)));
  const others = element("details", {}, element("summary", {}, "Variants that are not used, and why"), skipped);
  if (form !== null) main.append(section("input", "Try it", form), result);
  main.append(section("facts", "Is it right here?", list, others), section("speed", "How fast?", speed, measure, save));
  document.body.classList.add("ready");
  await new Promise((resolve) => setTimeout(resolve)); // the page is drawn before the engine takes the thread
  session = await open(files);
  answer.replaceChildren(element("p", { class: "hint" }, form === null ? "This model takes tensors." : "Ready."));
  if (waiting !== null) await give(waiting);
}

async function open(files: ReturnType<typeof pageFiles>): Promise<Session> {
  const engines = await loadEngines(config, files);
  const opened = await Session.open(files.bundle, { engines, selfCheck: "always", variant: config.variants });
  const { selfCheck: check } = opened;
  const right = check.status === "passed";
  const measured = check.text.replace("self-check: passed: ", "").replace(" with the verified outputs", "");
  tell("Golden rows", right ? `✓ agree: ${measured}` : check.text, right);
  tell("Engine", `${opened.engine}, ${opened.threads === 1 ? "1 thread" : `${opened.threads} threads`}`);
  tell("Variant", `${opened.variant.name}, ${(opened.variant.sizeBytes / 1e6).toPrecision(3)} MB`);
  tell("Bundle", opened.bundle.digest.slice(0, 16));
  const notUsed = opened.skipped.length > 0 ? opened.skipped : ["none"];
  skipped.replaceChildren(...notUsed.map((reason) => element("li", {}, reason)));
  measure.disabled = false;
  measure.addEventListener("click", () => void benchmark(opened));
  return opened;
}

/** Run what was given; of what comes meanwhile only the latest. */
async function give(given: Given): Promise<void> {
  if (session === null || running) {
    waiting = given;
    return;
  }
  running = true;
  waiting = null;
  try {
    const begin = performance.now();
    const predictions = await session.predict(given.items, given.options);
    const took = performance.now() - begin;
    answer.replaceChildren(...shown(predictions, given, session.manifest.task.similarity));
    time.textContent = `${took.toFixed(1)} ms, preparing the input included`;
  } catch (error) {
    fail(error);
  } finally {
    running = false;
  }
  if (waiting !== null) await give(waiting);
}

async function benchmark(opened: Session): Promise<void> {
  measure.disabled = true;
  try {
    const draw = (message: string): Promise<void> => {
      speed.textContent = `${message} …`;
      return new Promise((resolve) => setTimeout(resolve, 30));
    };
    const report = await opened.benchmark({ quick: true, progress: draw });
    const latency = report["latency_ms"] as { p50: number; p95: number };
    const problems = report["invalid"] as string[];
    const verdict = problems.length === 0 ? "VALID" : `INVALID: ${problems.join("; ")}`;
    speed.textContent =
      `median ${latency.p50.toFixed(2)} ms, 95 % below ${latency.p95.toFixed(2)} ms, ` +
      `${String(report["runs"])} runs of one row. ${verdict}`;
    URL.revokeObjectURL(save.href);
    save.href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 1)], { type: "application/json" }));
    save.hidden = false;
  } catch (error) {
    speed.textContent = String(error);
  }
  measure.disabled = false;
}

function tell(name: string, text: string, good: boolean = false): void {
  const place = facts.get(name) as HTMLElement;
  place.textContent = text;
  place.classList.toggle("good", good);
}

function fail(error: unknown): void {
  answer.replaceChildren(
    element("p", { class: "bad", role: "alert" }, error instanceof Error ? error.message : String(error)),
  );
  time.textContent = "";
}

start().catch((error: unknown) => {
  if (!document.body.classList.contains("ready")) main.append(section("result", "Result", answer));
  document.body.classList.add("ready");
  fail(error);
});
