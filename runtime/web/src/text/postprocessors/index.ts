/** Post-processors by their type in a tokenizer.json. */

import type { Part } from "../part.js";
import type { Tokens } from "../tokens.js";
import { BertProcessing } from "./bert_processing.js";
import { ByteLevelProcessing } from "./byte_level_processing.js";
import type { PostProcessor } from "./post_processor.js";
import { RobertaProcessing } from "./roberta_processing.js";
import { TemplateProcessing } from "./template_processing.js";

export type { PostProcessor } from "./post_processor.js";

const POST_PROCESSORS: ReadonlyMap<string, (part: Part) => PostProcessor> = new Map<
  string,
  (part: Part) => PostProcessor
>([
  ["BertProcessing", (part) => new BertProcessing(part)],
  ["ByteLevel", (part) => new ByteLevelProcessing(part)],
  ["RobertaProcessing", (part) => new RobertaProcessing(part)],
  ["Sequence", (part) => new PostProcessorSequence(part.parts("processors").map(readPostProcessor))],
  ["TemplateProcessing", (part) => new TemplateProcessing(part)],
]);

/** Throws RuntimeBundleError for one that this runtime doesn't know. */
export function readPostProcessor(part: Part): PostProcessor {
  const type = part.string("type");
  const has = (...keys: string[]): boolean => keys.every((key) => part.has(key));
  // `tokenizers` tells these two by their keys, whatever the type.
  const named = has("trim_offsets", "add_prefix_space") ? "RobertaProcessing" : "BertProcessing";
  const meant = has("cls", "sep") ? named : type;
  const read = (type === meant && POST_PROCESSORS.get(type)) || part.unknown("post-processor");
  return read(part);
}

class PostProcessorSequence implements PostProcessor {
  constructor(private readonly postProcessors: readonly PostProcessor[]) {}

  get readsTexts(): boolean {
    return this.postProcessors.some((postProcessor) => postProcessor.readsTexts);
  }

  added(isPair: boolean): number {
    return this.postProcessors.reduce((sum, postProcessor) => sum + postProcessor.added(isPair), 0);
  }

  process(parts: readonly Tokens[]): readonly Tokens[] {
    return this.postProcessors.reduce((done, postProcessor) => postProcessor.process(done), parts);
  }
}
