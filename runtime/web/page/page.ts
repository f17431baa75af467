/** The page that `edgeformer export-web` writes: a form, the model's answer, whether it is right here, and how fast. */

import { Bundle } from "../src/bundle/bundle.js";
import { readGolden, type Golden } from "../src/bundle/golden.js";
import type { Manifest } from "../src/bundle/manifest.js";
import type { Report } from "../src/report/report.js";
import { element, section } from "./elements.js";
import { pageFiles, readConfig, textInPage, type PageConfig } from "./files.js";
import { inputForm, type Given } from "./inputs.js";
import { LocalModel, type Model, type Opened } from "./model.js";
import { shown } from "./results.js";
import { inWorker, messageOf, serve } from "./worker.js";

const BUSY_AFTER_MS = 300;
const FROM_FILE =
  "This page was opened from a file, and browsers let such a page read nothing that lies beside it. " +
  "Serve its folder, for instance with “python -m http.server -d FOLDER”, or export the bundle with --single-file.";

/** What is on the page from the start, so that nothing moves later. */
class View {
  readonly answer = element("div", { "aria-live": "polite" }, element("p", { class: "hint" }, "Loading the model …"));
  readonly time = element("p", { class: "time" });
  readonly facts = new Map(
    ["Golden rows", "Engine", "Runs in", "Variant", "Bundle"].map((name) => [name, element("dd", {}, "…")]),
  );
  readonly skipped = element("ul", { class: "plain" });
  readonly speed = element("p", { class: "hint", "aria-live": "polite" }, "Not measured yet.");
  readonly measure = element("button", { type: "button", disabled: "" }, "Measure");
  readonly gpu = element("button", { type: "button", class: "button", disabled: "" }, "Try the GPU");
  readonly save = element("a", { class: "button", hidden: "", download: "report.json" }, "Save report");
  private readonly main = document.getElementById("main") as HTMLElement;

  /** `form`: null where the model takes tensors alone. */
  build(manifest: Manifest, config: PageConfig, form: HTMLFormElement | null): void {
    const task = manifest.task.name.replaceAll("-", " ");
    (document.getElementById("task") as HTMLElement).textContent = task.charAt(0).toUpperCase() + task.slice(1);
    const list = element("dl", {}, ...[...this.facts].flatMap(([name, value]) => [element("dt", {}, name), value]));
    for (const name of ["Golden rows", "Engine", "Runs in"]) this.facts.get(name)?.classList.add("long");
    const result = section("result", "Result", this.answer, this.time);
    result.style.setProperty("--rows", String(Math.min(Math.max(config.labels, 2), 10)));
    const others = element("details", {}, element("summary", {}, "Variants that are not used, and why"), this.skipped);
    if (form !== null) this.main.append(element("div", {}, section("input", "Try it", form), result));
    const buttons = element("div", { class: "buttons" }, this.measure, this.save);
    if ("litert" in config.engines) buttons.insertBefore(this.gpu, this.save);
    const [facts, speed] = [
      section("facts", "Is it right here?", list, others),
      section("speed", "How fast?", this.speed, buttons),
    ];
    this.main.append(element("div", {}, facts, speed));
    this.show();
  }

  /** Whatever went wrong, as a sentence; also before anything was built. */
  fail(error: unknown): void {
    if (!this.answer.isConnected) this.main.append(section("result", "Result", this.answer));
    this.answer.replaceChildren(element("p", { class: "bad", role: "alert" }, messageOf(error)));
    this.time.textContent = "";
    this.show();
  }

  opened(opened: Opened, where: string): void {
    const { check } = opened;
    const right = check.status === "passed";
    const measured = check.text.replace("self-check: passed: ", "").replace(" with the verified outputs", "");
    this.tell("Golden rows", right ? `✓ agree: ${measured}` : check.text, right);
    this.tell("Engine", `${opened.engine}, ${opened.threads === 1 ? "1 thread" : `${opened.threads} threads`}`);
    this.tell("Runs in", where);
    this.tell("Variant", `${opened.variant}, ${(opened.sizeBytes / 1e6).toPrecision(3)} MB`);
    this.tell("Bundle", opened.digest.slice(0, 16));
    const notUsed = opened.skipped.length > 0 ? opened.skipped : ["none"];
    this.skipped.replaceChildren(...notUsed.map((reason) => element("li", {}, reason)));
  }

  measured(report: Report): void {
    const latency = report["latency_ms"] as { p50: number; p95: number };
    const problems = report["invalid"] as string[];
    const verdict = problems.length === 0 ? "VALID" : `INVALID: ${problems.join("; ")}`;
    this.speed.textContent =
      `median ${latency.p50.toFixed(2)} ms, 95 % below ${latency.p95.toFixed(2)} ms, ` +
      `${String(report["runs"])} runs of one row. ${verdict}`;
    URL.revokeObjectURL(this.save.href);
    this.save.href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 1)], { type: "application/json" }));
    this.save.hidden = false;
  }

  private show(): void {
    document.body.classList.add("ready");
  }

  private tell(name: string, text: string, good: boolean = false): void {
    const place = this.facts.get(name) as HTMLElement;
    place.textContent = text;
    place.classList.toggle("good", good);
  }
}

/** Runs what is given, one after the other; of what comes meanwhile only the latest. */
class Runner {
  private waiting: Given | null = null;
  private running = false;
  private model: Model | null = null;

  constructor(private readonly view: View) {}

  ready(model: Model): void {
    this.model = model;
    if (this.waiting === null) this.view.answer.replaceChildren(element("p", { class: "hint" }, "Ready."));
    else void this.give(this.waiting);
  }

  async give(given: Given | string): Promise<void> {
    if (typeof given === "string") return this.view.fail(new Error(given));
    this.waiting = given;
    if (this.running || this.model === null) return;
    this.running = true;
    while (this.waiting !== null) {
      const next: Given = this.waiting;
      this.waiting = null;
      await this.run(this.model, next);
    }
    this.running = false;
  }

  private async run(model: Model, given: Given): Promise<void> {
    const busy = setTimeout(() => (this.view.time.textContent = "Working …"), BUSY_AFTER_MS);
    try {
      const { predictions, tookMs } = await model.predict(given);
      this.view.answer.replaceChildren(...shown(predictions, given));
      this.view.time.textContent = `${tookMs.toFixed(1)} ms, preparing the input included`;
    } catch (error) {
      this.view.fail(error);
    } finally {
      clearTimeout(busy);
    }
  }
}

async function start(view: View): Promise<void> {
  const config = readConfig();
  if (!config.embedded && location.protocol === "file:") throw new Error(FROM_FILE);
  const place = startModel(config); // the worker starts while the form is built
  const files = pageFiles(config, document.baseURI, textInPage);
  const bundle = await Bundle.open(files.bundle);
  const { manifest } = bundle;
  const runner = new Runner(view);
  const golden = (): Promise<Golden | null> => readGolden(bundle);
  const form = inputForm(manifest, golden, (given) => void runner.give(given));
  view.build(manifest, config, form);
  const { model, where } = await place;
  await new Promise((resolve) => setTimeout(resolve)); // drawn, should the engine take this thread
  view.opened(await model.open(false), where);
  runner.ready(model);
  if (form === null) view.answer.replaceChildren(element("p", { class: "hint" }, "This model takes tensors."));
  view.measure.addEventListener("click", () => void alone(view, () => measure(view, model)));
  view.gpu.addEventListener("click", () => void alone(view, () => tryGpu(view, model, where)));
  [view.measure, view.gpu].forEach((button) => (button.disabled = false));
}

async function startModel(config: PageConfig): Promise<{ model: Model; where: string }> {
  try {
    return { model: await inWorker(config), where: "a worker: the page stays usable while it computes" };
  } catch (error) {
    const reason = `the browser gives it no worker (${messageOf(error)})`;
    const where = `the page, which stands still while it computes: ${reason}`;
    return { model: new LocalModel(config, document.baseURI, textInPage, where), where };
  }
}

/** `work` while its buttons can't be pressed; what goes wrong is said. */
async function alone(view: View, work: () => Promise<void>): Promise<void> {
  const buttons = [view.measure, view.gpu];
  buttons.forEach((button) => (button.disabled = true));
  try {
    await work();
  } catch (error) {
    view.speed.textContent = messageOf(error);
  }
  buttons.forEach((button) => (button.disabled = false));
}

async function measure(view: View, model: Model): Promise<void> {
  let hidden = document.visibilityState === "hidden";
  const look = (): void => void (hidden ||= document.visibilityState === "hidden");
  document.addEventListener("visibilitychange", look);
  try {
    view.measured(
      await model.benchmark(
        (message) => (view.speed.textContent = `${message} …`),
        () => hidden,
      ),
    );
  } finally {
    document.removeEventListener("visibilitychange", look);
  }
}

async function tryGpu(view: View, model: Model, where: string): Promise<void> {
  view.speed.textContent = "Looking for a GPU …";
  try {
    view.opened(await model.open(true), where);
    view.speed.textContent = "The model runs on the GPU, and its golden rows agree. Not measured yet.";
  } catch (error) {
    view.speed.textContent = `WebGPU isn't used: ${messageOf(error)}. What was open goes on.`;
  }
}

if (typeof document === "undefined") serve();
else {
  const view = new View();
  start(view).catch((error: unknown) => view.fail(error));
}
