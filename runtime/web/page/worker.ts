/** The model in a worker: the page's own script, started once more. Both sides of what is said between them. */

import type { Report } from "../src/report/report.js";
import type { PageConfig } from "./files.js";
import { textInPage } from "./files.js";
import type { Given } from "./inputs.js";
import { LocalModel, type Answer, type Model, type Opened } from "./model.js";

type ToWorker =
  | { readonly start: { readonly config: PageConfig; readonly base: string } }
  | { readonly hidden: true }
  | { readonly packed: string; readonly text: string | null }
  | { readonly call: number; readonly method: "open" | "predict" | "benchmark"; readonly argument: unknown };

type FromWorker =
  | { readonly ready: true }
  | { readonly wants: string } // a file inside the page
  | { readonly progress: string }
  | { readonly call: number; readonly result: unknown }
  | { readonly call: number; readonly error: string };

const IN_WORKER = "the engine runs in a worker";
const START_LIMIT_MS = 5000;

interface WorkerScope {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

/** In the worker: answer the page. */
export function serve(): void {
  const scope = globalThis as unknown as WorkerScope;
  const waiting = new Map<string, ((text: string | null) => void)[]>();
  const packed = (path: string): Promise<string | null> =>
    new Promise((resolve) => {
      waiting.set(path, [...(waiting.get(path) ?? []), resolve]);
      scope.postMessage({ wants: path });
    });
  let model: Model | null = null;
  let hidden = false;

  const answer = async (method: string, argument: unknown): Promise<unknown> => {
    if (model === null) throw new Error("the worker wasn't started");
    if (method === "open") return model.open(argument as boolean);
    if (method === "predict") return model.predict(argument as Given);
    hidden = false;
    return model.benchmark(
      (progress) => scope.postMessage({ progress }),
      () => hidden,
    );
  };
  scope.onmessage = ({ data }) => {
    if ("start" in data) {
      model = new LocalModel(data.start.config, data.start.base, packed, IN_WORKER);
      scope.postMessage({ ready: true });
    } else if ("hidden" in data) hidden = true;
    else if ("packed" in data) waiting.get(data.packed)?.shift()?.(data.text);
    else {
      answer(data.method, data.argument).then(
        (result) => scope.postMessage({ call: data.call, result }),
        (error: unknown) => scope.postMessage({ call: data.call, error: messageOf(error) }),
      );
    }
  };
}

/** What is shown of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A model in a worker; rejects where the browser lets the page have none. */
export async function inWorker(config: PageConfig): Promise<Model> {
  // From a blob also where the page is on a server: so the worker has the page's policy, and reaches no other server.
  const worker = new Worker(URL.createObjectURL(new Blob([await ownScript(config)], { type: "text/javascript" })));
  const remote = new RemoteModel(worker);
  await remote.start(config);
  return remote;
}

async function ownScript(config: PageConfig): Promise<string> {
  const inside = document.getElementById("edgeformer-script")?.textContent;
  if (config.embedded) return inside ?? "";
  const response = await fetch("./page.js");
  if (!response.ok) throw new Error(`page.js: the server answers ${response.status}`);
  return response.text();
}

class RemoteModel implements Model {
  private calls = 0;
  private readonly pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  private ready: () => void = () => undefined;
  private progress: (message: string) => void = () => undefined;

  constructor(private readonly worker: Worker) {}

  start(config: PageConfig): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("it didn't start")), START_LIMIT_MS);
      this.ready = () => (clearTimeout(timer), resolve());
      this.worker.onmessage = (event: MessageEvent<FromWorker>) => this.hear(event.data);
      this.worker.onerror = (event) => {
        event.preventDefault();
        const error = new Error(
          `the worker stopped: ${event.message || "the browser doesn't say why"}: load the page again`,
        );
        this.pending.forEach((call) => call.reject(error));
        this.pending.clear();
        reject(error);
      };
      this.send({ start: { config, base: document.baseURI } });
    });
  }

  open(webGpu: boolean): Promise<Opened> {
    return this.call("open", webGpu);
  }

  predict(given: Given): Promise<Answer> {
    return this.call("predict", given);
  }

  async benchmark(progress: (message: string) => void, wasHidden: () => boolean): Promise<Report> {
    this.progress = progress;
    const tell = (): void => void (wasHidden() && this.send({ hidden: true }));
    document.addEventListener("visibilitychange", tell);
    try {
      const report = this.call<Report>("benchmark", null);
      tell();
      return await report;
    } finally {
      document.removeEventListener("visibilitychange", tell);
    }
  }

  private call<T>(method: "open" | "predict" | "benchmark", argument: unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      const call = this.calls++;
      this.pending.set(call, { resolve, reject });
      this.send({ call, method, argument });
    });
  }

  private hear(message: FromWorker): void {
    if ("ready" in message) this.ready();
    else if ("progress" in message) this.progress(message.progress);
    else if ("wants" in message)
      void textInPage(message.wants).then((text) => this.send({ packed: message.wants, text }));
    else {
      const call = this.pending.get(message.call);
      this.pending.delete(message.call);
      if ("error" in message) call?.reject(new Error(message.error));
      else call?.resolve(message.result as never);
    }
  }

  private send(message: ToWorker): void {
    this.worker.postMessage(message);
  }
}
