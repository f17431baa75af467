/** token-classification: runs of words with a label, such as names of people and places. */

import { ofText, slice, type EncodedText } from "./encoded.js";
import { floats } from "../tensor.js";
import { checkSpec, common, labelled, output, type MakeTask, type Prediction } from "./task.js";
import { best, softmax } from "./scores.js";

/** A run of words with one label; `start` and `end` count code points of the text (end exclusive). */
export interface Entity {
  readonly label: string;
  readonly score: number;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export interface TokenClassification extends Prediction {
  readonly entities: readonly Entity[];
}

interface Word {
  readonly firstToken: number;
  readonly start: number;
  end: number;
}

/** Output: logits [1, tokens, labels]. A word's label is that of its first token, as models are trained. */
export const tokenClassification: MakeTask = (spec, outputs) => {
  checkSpec(spec, outputs, 1, false);
  return {
    spec,
    kinds: ["text"],
    reads: outputs,
    embeds: {},
    predict(found, row): TokenClassification {
      const encoded = ofText(row);
      outputs.forEach((name) => output(spec, found, name));
      const logits = floats(labelled(spec, output(spec, found, outputs[0] as string), 3).data);
      const size = spec.labels.length;
      const tagged = wordsOf(encoded).map((word) => {
        const scores = softmax(logits.slice(word.firstToken * size, (word.firstToken + 1) * size));
        const place = best(scores);
        return { word, score: scores[place] as number, ...splitTag(spec.labels[place] as string) };
      });
      return { ...common(encoded), entities: entitiesOf(tagged, encoded.source[0]) };
    },
  };
};

interface Tagged {
  readonly word: Word;
  readonly score: number;
  readonly begins: boolean;
  readonly label: string | null;
}

function entitiesOf(tagged: readonly Tagged[], text: string): Entity[] {
  const runs: Tagged[][] = [];
  let label: string | null = null;
  for (const item of tagged) {
    if (item.label !== null && (item.begins || item.label !== label)) runs.push([]);
    if (item.label !== null) runs.at(-1)?.push(item);
    label = item.label;
  }
  return runs.map((run) => {
    const [start, end] = [(run[0] as Tagged).word.start, (run.at(-1) as Tagged).word.end];
    const score = run.reduce((sum, item) => sum + item.score, 0) / run.length;
    return { label: (run[0] as Tagged).label as string, score, start, end, text: slice(text, start, end) };
  });
}

/** Special tokens are in no word. */
function wordsOf(encoded: EncodedText): Word[] {
  const words: Word[] = [];
  let previous: number | null = null;
  encoded.words.forEach((word, index) => {
    if (word === null) return;
    const [start, end] = encoded.offsets[index] as readonly [number, number];
    const last = words.at(-1);
    if (word === previous && last !== undefined) last.end = end;
    else words.push({ firstToken: index, start, end });
    previous = word;
  });
  return words;
}

function splitTag(tag: string): { begins: boolean; label: string | null } {
  if (tag === "O") return { begins: false, label: null };
  if (tag.startsWith("B-") || tag.startsWith("I-")) return { begins: tag.startsWith("B"), label: tag.slice(2) };
  return { begins: false, label: tag };
}
