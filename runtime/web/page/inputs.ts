/** The form for what a model reads: texts, a picture, a sound; each calls back when there is something to run. */

import type { Golden } from "../src/bundle/golden.js";
import type { Manifest, Similarity } from "../src/bundle/manifest.js";
import type { Item, PredictOptions } from "../src/predictor.js";
import { getTask } from "../src/tasks/tasks.js";
import { element } from "./elements.js";

const TYPING_PAUSE_MS = 250;

/** What a visitor gave: one item, or two to be compared. */
export interface Given {
  readonly items: readonly Item[];
  readonly options: PredictOptions;
  /** How the model's vectors are compared. */
  readonly similarity: Similarity | null;
}

/** Called with what to run, or with a sentence on what is missing. */
export type OnGiven = (given: Given | string) => void;

/** The form; null where the model takes tensors alone. `golden` has examples of texts. */
export function inputForm(
  manifest: Manifest,
  golden: () => Promise<Golden | null>,
  onGiven: OnGiven,
): HTMLFormElement | null {
  const kinds = getTask(manifest.task, manifest.outputs).kinds;
  if (kinds.length === 0 || !kinds.every((kind) => manifest.preprocess.some((item) => item.kind === kind))) return null;
  const form = element("form");
  const files = kinds.filter((kind) => kind !== "text").map((kind) => fileInput(form, kind === "image"));
  const texts = kinds.includes("text") ? textInputs(manifest).map((known) => textInput(form, known)) : [];
  const labels = manifest.task.name === "zero-shot-image-classification" ? textInput(form, LABELS) : null;
  if (labels !== null) labels.value = manifest.task.labels.join("\n");
  const buttons = element("div", { class: "buttons" }, element("button", { type: "submit" }, "Run"));
  form.append(buttons);
  if (files.length === 0) buttons.append(exampleButton(golden, texts, () => give(true)));

  const give = (isAsked: boolean): void => {
    const wanted = labels?.value
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "");
    const options = wanted === undefined || String(wanted) === String(manifest.task.labels) ? {} : { labels: wanted };
    const items = itemsOf(
      files[0],
      texts.map((area) => area.value),
      isPair(manifest),
    );
    if (typeof items !== "string") onGiven({ items, options, similarity: manifest.task.similarity });
    else if (isAsked) onGiven(items);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    give(true);
  });
  form.addEventListener("given", () => give(false));
  let timer = 0;
  form.addEventListener("input", (event) => {
    if (!(event.target instanceof HTMLTextAreaElement)) return;
    clearTimeout(timer);
    timer = window.setTimeout(() => give(false), TYPING_PAUSE_MS);
  });
  return form;
}

/** Puts the texts of the golden rows in, one row after the other. */
function exampleButton(
  golden: () => Promise<Golden | null>,
  areas: readonly HTMLTextAreaElement[],
  give: () => void,
): HTMLButtonElement {
  const button = element("button", { type: "button", class: "button" }, "Example");
  let clicks = 0;
  button.addEventListener("click", async () => {
    const rows = (await golden())?.texts.filter((row) => row !== null) ?? [];
    const row = rows[clicks++ % rows.length];
    button.disabled = row === undefined;
    if (row === undefined) return;
    areas.forEach((area, index) => (area.value = (index === 0 ? row.text : row.second) ?? ""));
    give();
  });
  return button;
}

/** What to run, or what is missing for it. */
function itemsOf(file: (() => File | undefined) | undefined, texts: string[], pair: boolean): readonly Item[] | string {
  const words = texts.filter((text) => text !== "");
  if (file !== undefined) {
    const chosen = file();
    if (chosen === undefined) return "Choose a file first.";
    if (texts.length === 0) return [chosen];
    return words[0] === undefined ? "Type a text, too." : [[chosen, words[0]]];
  }
  if (words.length === 0) return "Type a text first.";
  if (!pair) return words;
  return words.length === 2 ? [words as unknown as [string, string]] : "Type both texts.";
}

interface TextField {
  readonly id: string;
  readonly label: string;
}

const LABELS: TextField = { id: "labels", label: "Labels, one a line" };

function isPair(manifest: Manifest): boolean {
  const text = manifest.preprocess.find((item) => item.kind === "text");
  return text !== undefined && !text.takes.includes("text");
}

function textInputs(manifest: Manifest): TextField[] {
  if (manifest.task.name === "question-answering")
    return [
      { id: "question", label: "Question" },
      { id: "context", label: "Text with the answer" },
    ];
  if (manifest.task.name === "feature-extraction")
    return [
      { id: "text", label: "Text" },
      { id: "other", label: "Another, to compare with it" },
    ];
  if (isPair(manifest))
    return [
      { id: "text", label: "First text" },
      { id: "second", label: "Second text" },
    ];
  return [{ id: "text", label: "Text" }];
}

function textInput(form: HTMLFormElement, { id, label }: TextField): HTMLTextAreaElement {
  const area = element("textarea", { id, rows: "3", spellcheck: "false" });
  form.append(element("label", { for: id }, label), area);
  return area;
}

/** A place to drop a file or choose one. Returns what gives the file that was taken. */
function fileInput(form: HTMLFormElement, picture: boolean): () => File | undefined {
  const [id, accept, hint] = picture
    ? ["picture", "image/*", "Drop a picture here, or choose one"]
    : ["sound", "audio/wav,.wav", "Drop a WAV file here, or choose one"];
  const input = element("input", { type: "file", id, accept });
  const shown = element("img", { alt: "The picture that was chosen" });
  const drop = element("div", { class: "drop" }, shown, element("span", { class: "hint" }, hint), input);
  const taken = (): void => {
    const file = input.files?.[0];
    if (file === undefined) return;
    if (picture) {
      URL.revokeObjectURL(shown.src);
      shown.src = URL.createObjectURL(file);
    }
    form.dispatchEvent(new Event("given"));
  };
  input.addEventListener("change", taken);
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name !== "drop") return;
      input.files = (event as DragEvent).dataTransfer?.files ?? null;
      taken();
    });
  }
  form.append(element("label", { for: id }, picture ? "Picture" : "Sound"), drop);
  return () => input.files?.[0];
}
