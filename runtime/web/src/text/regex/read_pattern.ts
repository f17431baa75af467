/** The field `pattern` of Replace and Split: {"String": …} or {"Regex": …}. */

import { toCodePoints } from "../code_points.js";
import type { Part } from "../part.js";
import { CharacterNode, EndNode, Pattern, type Node } from "./pattern.js";
import { parseRegex } from "./regex_parser.js";

const LONGEST = 1000; // characters; each is a step of recursion

export function readPattern(part: Part): Pattern {
  const pattern = part.part("pattern");
  if (pattern.has("String")) {
    const text = pattern.string("String");
    if (text === "" || text.length > LONGEST) pattern.unsupported(`a string of ${text.length} characters as a pattern`);
    return literal(text);
  }
  const text = pattern.string("Regex");
  const parsed = parseRegex(text);
  if (typeof parsed !== "string") return parsed;
  return pattern.unsupported(`the regular expression '${text.slice(0, 200)}' isn't known: ${parsed}`);
}

function literal(text: string): Pattern {
  let node: Node = new EndNode();
  for (const character of toCodePoints(text).reverse()) node = new CharacterNode(character, node);
  return new Pattern(node);
}
