/** From what a caller has to what the task says of it: encoders, labels and task of an open bundle. */

import { encodeAudio, type AudioItem } from "./audio/audio_encoder.js";
import type { Bundle } from "./bundle/bundle.js";
import { readGolden } from "./bundle/golden.js";
import type { Preprocess } from "./bundle/manifest.js";
import { InputError } from "./errors.js";
import { decodeImage } from "./image/image_decode.js";
import { encodeImage, type ImageItem } from "./image/image_encoder.js";
import type { Encoded } from "./tasks/encoded.js";
import { inputsFedBy } from "./selection/feeds.js";
import { TextEncoder as RowEncoder, type TextItem } from "./text/text_encoder.js";
import { getTask } from "./tasks/tasks.js";
import { common, output, vector, type Kind, type Prediction, type Task } from "./tasks/task.js";
import type { Embedding } from "./tasks/feature_extraction.js";
import {
  checkLabels,
  labelTexts,
  storedVectors,
  toldApart,
  withLabels,
} from "./tasks/zero_shot_image_classification.js";
import type { Tensors } from "./tensor.js";
import { checkPreprocessing } from "./selection/self_check.js";

/** What `predict` takes: by the task a text, a pair, a picture, a sound, or a picture with its text. */
export type Item = TextItem | ImageItem | AudioItem | readonly [ImageItem, string];

export interface PredictOptions {
  /** One of the bundle's prompts, put before each text; "" is none, null or nothing the bundle's default. */
  readonly prompt?: string | null;
  /** For zero-shot-image-classification: others than the bundle's own. */
  readonly labels?: readonly string[];
}

/**
 * What makes tensors of texts; null for a bundle that doesn't say how. Throws RuntimeBundleError for its tokenizer.
 */
export async function openTextEncoder(bundle: Bundle): Promise<RowEncoder | null> {
  const { preprocess, inputs } = bundle.manifest;
  const settings = preprocess.find((item) => item.kind === "text");
  if (settings === undefined) return null;
  const kinds = preprocess.map((item) => item.kind);
  return new RowEncoder(settings, await bundle.read(settings.tokenizer), inputsFedBy("text", kinds, inputs));
}

export class Predictor {
  readonly task: Task;
  private readonly preprocess: ReadonlyMap<Kind, Preprocess>;
  private readonly labelled = new Map<string, Task>();

  /**
   * `texts`: what `openTextEncoder` gives. `mustCheckTexts`: golden ones must become the tokens that they became at the
   * compile. `say` is told what was done to an item.
   */
  constructor(
    private readonly bundle: Bundle,
    private readonly texts: RowEncoder | null,
    private readonly run: (feeds: Tensors) => Promise<Tensors>,
    private mustCheckTexts: boolean,
    private readonly say: (note: string) => void,
  ) {
    const { manifest } = bundle;
    this.task = getTask(manifest.task, manifest.outputs);
    const skipped = manifest.skipped.find((item) => item.part !== "variant");
    if (skipped !== undefined) {
      throw new InputError(
        `bundle '${manifest.name}': ${skipped.part} '${skipped.name}': ${skipped.reason}: ` +
          "update edgeformer-web, or use session.run",
      );
    }
    // The first of a kind counts.
    this.preprocess = new Map([...manifest.preprocess].reverse().map((item) => [item.kind, item]));
    if (this.task.kinds.length === 0)
      throw new InputError(`bundle '${manifest.name}' takes tensors (task ${manifest.task.name}): use session.run`);
    this.task.kinds.forEach((kind) => this.settings(kind));
  }

  /** One result an item. Row by row: rows of one call would share a scale of quantized activations. */
  async predict(items: readonly Item[], options: PredictOptions): Promise<Prediction[]> {
    if (!Array.isArray(items)) throw new InputError("predict: expected a list of items, got one: put it in a list");
    const task = await this.taskWith(options.labels);
    const results: Prediction[] = [];
    for (const item of items as Item[]) {
      const encoded = await this.encodeItem(item, options.prompt ?? null);
      results.push(task.predict(await this.run(encoded.feeds), encoded));
    }
    return results;
  }

  /** The vector of each item. */
  async embed(items: readonly Item[], kind: Kind, prompt: string | null): Promise<Embedding[]> {
    const name = this.task.embeds[kind];
    const { spec } = this.task;
    if (name === undefined) {
      throw new InputError(
        `embed '${kind}': task ${spec.name} gives vectors of ` +
          (Object.keys(this.task.embeds).join(" and ") || "nothing"),
      );
    }
    const found: Embedding[] = [];
    for (const item of items) {
      const encoded = await this.encode(kind, item, prompt);
      found.push({ ...common(encoded), embedding: vector(spec, output(spec, await this.run(encoded.feeds), name)) });
    }
    return found;
  }

  /** The inputs of one item, by all kinds that the task reads. */
  async encodeItem(item: Item, prompt: string | null): Promise<Encoded> {
    const [first, second] = this.task.kinds as [Kind, Kind?];
    if (second === undefined) return this.encode(first, item, prompt);
    if (!Array.isArray(item) || item.length !== 2) throw new InputError("predict: this model takes [picture, text]");
    const [picture, text] = [
      await this.encode(first, item[0] as Item, null),
      await this.encode(second, item[1] as Item, prompt),
    ];
    return { ...text, feeds: { ...picture.feeds, ...text.feeds } };
  }

  private async encode(kind: Kind, item: Item, prompt: string | null): Promise<Encoded> {
    const settings = this.settings(kind);
    if (settings.kind === "text") return (await this.checkedTexts()).encode(item, prompt);
    if (prompt !== null && prompt !== "")
      throw new InputError(`prompt '${prompt}': this model takes no texts, which have prompts`);
    if (typeof item !== "object")
      throw new InputError(`predict: this model takes ${kind === "image" ? "pictures" : "sounds"}, got ${typeof item}`);
    if (settings.kind === "image") return encodeImage(settings, await decodeImage(item as ImageItem));
    return encodeAudio(settings, item as AudioItem, this.say);
  }

  private settings(kind: Kind): Preprocess {
    const found = this.preprocess.get(kind);
    if (found !== undefined) return found;
    throw new InputError(
      `bundle '${this.bundle.manifest.name}' doesn't say how its ${kind} becomes tensors: use session.run`,
    );
  }

  private async checkedTexts(): Promise<RowEncoder> {
    if (this.texts === null) throw new InputError("this model takes no texts");
    if (this.mustCheckTexts) checkPreprocessing(await readGolden(this.bundle), this.texts);
    this.mustCheckTexts = false;
    return this.texts;
  }

  /** The task between `labels`; the bundle's own may come with their vectors, others are run once. */
  private async taskWith(labels: readonly string[] | undefined): Promise<Task> {
    const own = this.task.spec;
    if (own.name !== "zero-shot-image-classification") {
      if (labels !== undefined) throw new InputError(`labels: task ${own.name} has those of its model: leave them out`);
      return this.task;
    }
    if (labels === undefined && own.labels.length === 0)
      throw new InputError("the bundle has no labels of its own: name them");
    const wanted = checkLabels(labels ?? own.labels);
    const key = JSON.stringify(wanted);
    let task = this.labelled.get(key);
    if (task === undefined) {
      const isOwn = JSON.stringify(own.labels) === key;
      const vectors =
        own.labelVectors !== null && isOwn
          ? storedVectors(await this.bundle.read(own.labelVectors), wanted.length)
          : toldApart(wanted, await this.embed(labelTexts(own, wanted), "text", null));
      task = withLabels(this.task, wanted, vectors);
      if (this.labelled.size >= 16) this.labelled.clear();
      this.labelled.set(key, task);
    }
    return task;
  }
}
