/** A tokenizer.json, opened: texts to tokens exactly as Python's package `tokenizers` makes them. */

import { InputError } from "../errors.js";
import { readAddedTokens, type Matcher } from "./added_tokens.js";
import { toCodePoints, toText } from "./code_points.js";
import { readModel, type Model } from "./models/index.js";
import { NormalizedText } from "./normalized_text.js";
import { readNormalizer, type Normalizer } from "./normalizers/index.js";
import { Part } from "./part.js";
import { PiecesBuilder, type Pieces } from "./pieces.js";
import { readPostProcessor, type PostProcessor } from "./postprocessors/index.js";
import { readPreTokenizer, type PreTokenizer } from "./pretokenizers/index.js";
import { IntList } from "./int_list.js";
import { joined, textOfEach, type Tokens } from "./tokens.js";
import { keptLengths, type Truncation } from "./truncation.js";

const DECODERS =
  /^(BPEDecoder|ByteFallback|ByteLevel|CTC|Fuse|Metaspace|Replace|Sequence|Strip|WordPiece)$/;

/** The tokens of a text or a pair, special ones included: lists of one length. */
export interface Encoding {
  readonly ids: readonly number[];
  /** 0 for the first text, 1 for the second, where the post-processor doesn't say otherwise. */
  readonly typeIds: readonly number[];
  readonly attentionMask: readonly number[];
  /** Code points [start, end) of the text that a token is of; [0, 0] for special ones. */
  readonly offsets: readonly (readonly [number, number])[];
  /** Which word of its text; null for special tokens. */
  readonly wordIds: readonly (number | null)[];
  /** Which text, 0 or 1; null for special tokens. */
  readonly sequenceIds: readonly (number | null)[];
  /** Tokens were left out. */
  readonly truncated: boolean;
  /** How many. */
  readonly tokensCut: number;
}

/** The tokens of one text before anything is cut or added. */
interface RawTokens {
  readonly ids: IntList;
  readonly words: IntList;
  readonly from: IntList; // characters of `pieces` that a token stands for
  readonly to: IntList;
  readonly pieces: Pieces;
}

export class Tokenizer {
  private readonly plain: Matcher;
  private readonly normalized: Matcher;
  private readonly normalizer: Normalizer | null;
  private readonly preTokenizer: PreTokenizer | null;
  private readonly model: Model;
  private readonly postProcessor: PostProcessor | null;

  /** `json`: the parsed file. Throws RuntimeBundleError for what it holds and this runtime doesn't know. */
  constructor(json: unknown) {
    const root = new Part(json, "tokenizer.json");
    if (root.has("version")) root.oneOf("version", ["1.0"]);
    this.normalizer = root.has("normalizer") ? readNormalizer(root.part("normalizer")) : null;
    this.preTokenizer = root.has("pre_tokenizer") ? readPreTokenizer(root.part("pre_tokenizer")) : null;
    this.model = readModel(root.part("model"));
    this.postProcessor = root.has("post_processor") ? readPostProcessor(root.part("post_processor")) : null;
    const added = root.has("added_tokens") ? root.parts("added_tokens") : [];
    ({ plain: this.plain, normalized: this.normalized } = readAddedTokens(added, this.model, this.normalizer));
    if (root.has("decoder")) checkDecoder(root.part("decoder"));
  }

  /**
   * Encodes a text, or a pair, cut as `truncation` says; nothing is padded. Throws InputError for half a surrogate
   * pair, for what can't be cut to fit, and where the text holds what the tokenizer has no token for.
   */
  encode(text: string, second: string | null = null, truncation: Truncation | null = null): Encoding {
    const texts = second === null ? [text] : [text, second];
    const raw = texts.map((each) => this.rawTokens(each));
    const lengths = raw.map(({ ids }) => ids.length);
    const kept = truncation === null ? lengths : this.keptLengths(lengths, truncation);
    const parts = raw.map((tokens, index) =>
      this.tokens(tokens, index, kept[index]!, truncation?.direction === "left"),
    );
    const tokens = joined(this.postProcessor === null ? parts : this.postProcessor.process(parts));
    const tokensCut = lengths.reduce((sum, length, index) => sum + length - kept[index]!, 0);
    return {
      ids: tokens.ids,
      typeIds: tokens.types,
      attentionMask: tokens.ids.map(() => 1),
      offsets: tokens.starts.map((start, index) => [start, tokens.ends[index]!]),
      wordIds: tokens.words,
      sequenceIds: textOfEach(tokens),
      truncated: tokensCut > 0,
      tokensCut,
    };
  }

  private keptLengths(lengths: readonly number[], { maxLength, strategy }: Truncation): readonly number[] {
    const added = this.postProcessor?.added(lengths.length === 2) ?? 0;
    if (maxLength < added) throw new InputError(`text: ${maxLength} tokens have no room for the ${added} special ones`);
    return keptLengths(lengths, maxLength - added, strategy);
  }

  private rawTokens(text: string): RawTokens {
    const pieces = this.pieces(toCodePoints(text));
    const words = this.preTokenizer === null ? pieces : this.preTokenizer.preTokenize(pieces);
    const list = (): IntList => new IntList(text.length / 2);
    const found: RawTokens = { ids: list(), words: list(), from: list(), to: list(), pieces: words };
    let word = 0;
    const add = (id: number, from: number, to: number): void => {
      found.ids.push(id);
      found.words.push(word);
      found.from.push(from);
      found.to.push(to);
    };
    for (; word < words.length; word++) {
      const from = words.from.get(word);
      const to = words.to.get(word);
      if (words.token(word) !== -1) add(words.token(word), from, to);
      else this.model.tokenize(words.characters, from, to, add);
    }
    return found;
  }

  /** The text normalized, with the added tokens as pieces. */
  private pieces(characters: Int32Array): Pieces {
    const builder = new PiecesBuilder(characters.length);
    this.plain.split(characters, (from, to, token) => {
      const text = NormalizedText.of(characters.subarray(from, to), from);
      if (token !== -1) {
        builder.append(text, 0, text.length);
        builder.endPiece(token);
        return;
      }
      this.normalizer?.normalize(text);
      this.normalized.split(text.characters, (start, end, found) => {
        builder.append(text, start, end);
        builder.endPiece(found);
      });
    });
    return builder.build();
  }

  /** `count` tokens of text `index`, from its end or from its beginning. */
  private tokens(raw: RawTokens, index: number, count: number, fromEnd: boolean): Tokens {
    const first = fromEnd ? raw.ids.length - count : 0;
    const tokens: Tokens = {
      ids: [],
      types: [],
      starts: [],
      ends: [],
      words: [],
      texts: [],
      ranges: new Map([[index, [0, count]]]),
    };
    const { characters, starts, ends } = raw.pieces;
    const readsTexts = this.postProcessor !== null && this.postProcessor.readsTexts;
    for (let position = first; position < first + count; position++) {
      const from = raw.from.get(position);
      const to = raw.to.get(position);
      const id = raw.ids.get(position);
      tokens.ids.push(id);
      tokens.types.push(index);
      tokens.starts.push(starts[from]!);
      tokens.ends.push(ends[to - 1]!);
      tokens.words.push(raw.words.get(position));
      if (!readsTexts) continue;
      const known = raw.pieces.token(raw.words.get(position)) === -1 ? this.model.textOf(id) : undefined;
      tokens.texts.push(known ?? toText(characters, from, to));
    }
    return tokens;
  }
}

/** Texts to tokens need none, but a file with an unknown one is of another release: Python refuses it as well. */
function checkDecoder(part: Part): void {
  const type = part.string("type");
  if (!DECODERS.test(type)) part.unknown("decoder");
  if (type === "Sequence") part.parts("decoders").forEach(checkDecoder);
}
