/** A prediction as elements, by the keys that it has. */

import type { Similarity } from "../src/bundle/manifest.js";
import { slice } from "../src/tasks/encoded.js";
import type { Prediction } from "../src/tasks/task.js";
import type { Classification, Regression } from "../src/tasks/classification.js";
import type { Embedding } from "../src/tasks/feature_extraction.js";
import type { ImageTextSimilarity } from "../src/tasks/image_text_similarity.js";
import type { Answer } from "../src/tasks/question_answering.js";
import { similarity } from "../src/tasks/similarity.js";
import type { TokenClassification } from "../src/tasks/token_classification.js";
import { element } from "./elements.js";
import type { Given } from "./inputs.js";

const MOST_LABELS = 10;

/** What to show; `given` is what the predictions are of. */
export function shown(predictions: readonly Prediction[], given: Given): Node[] {
  const first = predictions[0] as Prediction;
  const item = given.items[0];
  const cut = predictions.some((prediction) => prediction.truncated)
    ? [element("p", { class: "hint bad" }, "Longer than the model takes: a part was left out.")]
    : [];
  if ("scores" in first) return [scores(first as Classification), ...cut];
  if ("entities" in first) return [marked(String(item), (first as TokenClassification).entities), ...cut];
  if ("embedding" in first) return [...vectors(predictions as Embedding[], given.similarity), ...cut];
  if ("similarity" in first) return [large(likeness(first as ImageTextSimilarity)), ...cut];
  if ("start" in first) return [...answer(first as Answer, (item as [string, string])[1]), ...cut];
  return [large((first as Regression).value.toFixed(4)), ...cut];
}

function scores(prediction: Classification): HTMLElement {
  const ranked = Object.entries(prediction.scores)
    .sort((a, b) => b[1] - a[1])
    .slice(0, MOST_LABELS);
  return element(
    "ol",
    { class: "scores" },
    ...ranked.map(([label, score]) => {
      const line = element("li", {}, element("span", {}, label), element("span", {}, `${(100 * score).toFixed(1)} %`));
      line.style.setProperty("--share", String(score));
      line.classList.toggle("applies", prediction.labels.includes(label));
      return line;
    }),
  );
}

interface Place {
  readonly start: number;
  readonly end: number;
  readonly label: string;
}

/** A text with places marked in it; offsets are code points. */
function marked(text: string, places: readonly Place[]): HTMLElement {
  const line = element("p", {});
  let at = 0;
  for (const { start, end, label } of places) {
    line.append(slice(text, at, start), element("mark", {}, slice(text, start, end), element("small", {}, label)));
    at = end;
  }
  line.append(slice(text, at, Infinity));
  return line;
}

function answer(found: Answer, context: string): Node[] {
  if (found.text === "") return [large("No answer")];
  const share = `${(100 * found.score).toFixed(1)} %`;
  return [large(found.text), marked(context, [{ start: found.start, end: found.end, label: share }])];
}

function vectors(found: readonly Embedding[], how: Similarity | null): Node[] {
  const [first, second] = found as [Embedding, Embedding?];
  const numbers = [...first.embedding.slice(0, 6)].map((value) => value.toFixed(4)).join("  ");
  const line = element("p", { class: "hint" }, `${first.embedding.length} dimensions: ${numbers} …`);
  if (second === undefined) return [line];
  return [large(`${how ?? "cosine"} ${similarity(first.embedding, second.embedding, how).toFixed(4)}`), line];
}

function likeness(found: ImageTextSimilarity): string {
  const cosine = `cosine ${found.similarity.toFixed(4)}`;
  return found.score === null ? cosine : `${(100 * found.score).toFixed(1)} % (${cosine})`;
}

function large(text: string): HTMLElement {
  return element("p", { class: "large" }, text);
}
