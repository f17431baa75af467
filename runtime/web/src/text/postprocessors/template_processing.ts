/** TemplateProcessing: the texts and special tokens in the order of a template, each with its type. */

import type { Part } from "../part.js";
import { specialTokens, type Tokens } from "../tokens.js";
import type { PostProcessor } from "./post_processor.js";

type Piece =
  | { readonly kind: "text"; readonly text: 0 | 1; readonly type: number }
  | {
      readonly kind: "special";
      readonly ids: readonly number[];
      readonly texts: readonly string[];
      readonly type: number;
    };

export class TemplateProcessing implements PostProcessor {
  readonly readsTexts = false;
  private readonly single: readonly Piece[];
  private readonly pair: readonly Piece[];

  constructor(part: Part) {
    const special = part.part("special_tokens");
    this.single = part.parts("single").map((piece) => readPiece(piece, special));
    this.pair = part.parts("pair").map((piece) => readPiece(piece, special));
    if (this.single.some((piece) => piece.kind === "text" && piece.text === 1)) {
      part.unsupported("a template for one text that names a second");
    }
  }

  added(isPair: boolean): number {
    return (isPair ? this.pair : this.single).reduce(
      (sum, piece) => sum + (piece.kind === "text" ? 0 : piece.ids.length),
      0,
    );
  }

  process(parts: readonly Tokens[]): readonly Tokens[] {
    return (parts.length === 2 ? this.pair : this.single).map((piece) => {
      if (piece.kind === "special") return specialTokens(piece.ids, piece.texts, piece.type);
      const tokens = parts[piece.text]!;
      tokens.types.fill(piece.type);
      tokens.ranges.set(piece.text, [0, tokens.ids.length]);
      return { ...tokens, types: [...tokens.types], ranges: new Map(tokens.ranges) };
    });
  }
}

function readPiece(piece: Part, special: Part): Piece {
  if (piece.has("Sequence")) {
    const text = piece.part("Sequence");
    return { kind: "text", text: text.oneOf("id", ["A", "B"]) === "A" ? 0 : 1, type: text.integer("type_id") };
  }
  const named = piece.part("SpecialToken");
  const token = special.part(named.string("id"));
  const ids = token.list("ids").map((id) => token.toInteger(id, "ids"));
  const texts = token
    .list("tokens")
    .map((text) => (typeof text === "string" ? text : token.wrong("tokens", "strings", text)));
  if (ids.length !== texts.length) token.wrong("tokens", `as many tokens as ids, ${ids.length}`, texts);
  return { kind: "special", ids, texts, type: named.integer("type_id") };
}
