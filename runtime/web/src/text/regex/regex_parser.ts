/**
 * The regular expressions that tokenizers use, in the syntax of Oniguruma, to the nodes of pattern.ts.
 *
 * Known: literals, . and classes (nested, ranges, \p{…}, \s \d \w and their opposites), groups, alternatives,
 * look-ahead, (?i:…) of ASCII letters, $ \z, and quantifiers, those without an upper limit on one character only: so
 * matching needs no deep recursion. All else is refused, also what can match nothing: tokenizers' offsets are odd then.
 */

import { CharacterSet } from "../character_set.js";
import { toCodePoints } from "../code_points.js";
import {
  CharacterNode,
  ChoiceNode,
  EndNode,
  EndOfTextNode,
  LookAheadNode,
  OneNode,
  Pattern,
  RepeatNode,
  type Node,
} from "./pattern.js";
import { readClass, readEscape, UnknownSyntax, type Reader } from "./regex_class.js";

const LARGEST_GROUP_COUNT = 16;
const LARGEST_COUNT = 10_000;
const MOST_NODES = 20_000; // counted groups are written out
const DEEPEST = 32;
const LONGEST = 1000; // characters; each set takes memory

type Tree =
  | { readonly kind: "character"; readonly character: number }
  | { readonly kind: "set"; readonly set: CharacterSet }
  | { readonly kind: "sequence"; readonly items: readonly Tree[] }
  | { readonly kind: "choice"; readonly items: readonly Tree[] }
  | { readonly kind: "repeat"; readonly item: Tree; readonly least: number; readonly most: number; readonly mode: Mode }
  | { readonly kind: "look"; readonly item: Tree; readonly isNegative: boolean }
  | { readonly kind: "end"; readonly isLast: boolean };
type Mode = "greedy" | "lazy" | "possessive";

/** A pattern, or a sentence that says what of it isn't known. */
export function parseRegex(text: string): Pattern | string {
  try {
    if (text.length > LONGEST) return `it is longer than ${LONGEST} characters`;
    const parser = new Parser(text);
    const tree = parser.parse();
    if (canBeEmpty(tree)) return "it can match nothing";
    return new Pattern(new Builder().build(tree, new EndNode()));
  } catch (error) {
    if (error instanceof UnknownSyntax) return error.message;
    throw error;
  }
}

class Parser implements Reader {
  private readonly characters: Int32Array;
  private position = 0;
  private ignoresCase = false;
  private depth = 0;

  constructor(text: string) {
    this.characters = toCodePoints(text);
  }

  parse(): Tree {
    const tree = this.choice();
    if (!this.isOver()) throw new UnknownSyntax("a ')' too many");
    return tree;
  }

  isOver(): boolean {
    return this.position >= this.characters.length;
  }

  /** The next character, not taken; "" at the end. */
  peek(): string {
    return this.isOver() ? "" : String.fromCodePoint(this.characters[this.position]!);
  }

  take(): string {
    const character = this.peek();
    if (character === "") throw new UnknownSyntax("it ends too early");
    this.position++;
    return character;
  }

  /** Takes `text` if it comes next. */
  takes(text: string): boolean {
    for (let index = 0; index < text.length; index++) {
      if (this.characters[this.position + index] !== text.charCodeAt(index)) return false;
    }
    this.position += text.length;
    return true;
  }

  private choice(): Tree {
    if (++this.depth > DEEPEST) throw new UnknownSyntax(`groups nested more than ${DEEPEST} deep`);
    const items = [this.sequence()];
    while (this.takes("|")) items.push(this.sequence());
    this.depth--;
    return items.length === 1 ? items[0]! : { kind: "choice", items };
  }

  private sequence(): Tree {
    const items: Tree[] = [];
    let letters = "";
    while (!this.isOver() && this.peek() !== "|" && this.peek() !== ")") {
      const next = this.peek();
      letters = this.ignoresCase && isLetter(next) ? letters + next.toLowerCase() : "";
      // Full case folding makes one character of these: "ß", "ﬁ".
      if (/(ss|st|ff|fi|fl)$/.test(letters)) throw new UnknownSyntax(`'${letters}' without regard to case`);
      items.push(this.quantified(this.atom()));
    }
    return items.length === 1 ? items[0]! : { kind: "sequence", items };
  }

  private atom(): Tree {
    const character = this.take();
    switch (character) {
      case "(":
        return this.group();
      case "[":
        return this.set(readClass(this));
      case ".":
        return this.set(allBut(0x0a));
      case "$":
        return { kind: "end", isLast: false };
      case "\\":
        if (this.takes("z")) return { kind: "end", isLast: true };
        return this.set(readEscape(this));
      case "^":
      case "*":
      case "+":
      case "?":
      case "{":
        throw new UnknownSyntax(`'${character}' at this place`);
      default:
        return this.ignoresCase
          ? this.set(one(character.codePointAt(0)!))
          : { kind: "character", character: character.codePointAt(0)! };
    }
  }

  private set(set: CharacterSet): Tree {
    return { kind: "set", set: this.ignoresCase ? withOtherCase(set) : set };
  }

  private group(): Tree {
    const before = this.ignoresCase;
    let look: "" | "=" | "!" = "";
    if (this.takes("?")) {
      if (this.takes("=")) look = "=";
      else if (this.takes("!")) look = "!";
      else if (this.takes("i:")) this.ignoresCase = true;
      else if (!this.takes(":")) throw new UnknownSyntax(`a group '(?${this.peek()}'`);
    }
    const item = this.choice();
    if (!this.takes(")")) throw new UnknownSyntax("a ')' too few");
    this.ignoresCase = before;
    return look === "" ? item : { kind: "look", item, isNegative: look === "!" };
  }

  private quantified(atom: Tree): Tree {
    let tree = atom;
    for (;;) {
      const counts = this.counts();
      if (counts === null) return tree;
      const [least, most, isBraces] = counts;
      if (isBraces && least === most && this.peek() === "?") throw new UnknownSyntax("a '?' behind a count");
      const mode = this.takes("?") ? "lazy" : !isBraces && this.takes("+") ? "possessive" : "greedy";
      if (tree.kind === "repeat") throw new UnknownSyntax("a quantifier behind a quantifier");
      const isOne = tree.kind === "set" || tree.kind === "character";
      if (!isOne && (most > LARGEST_GROUP_COUNT || mode === "possessive")) {
        throw new UnknownSyntax("a group repeated without limit");
      }
      if (tree.kind === "look" || tree.kind === "end") throw new UnknownSyntax("a repeated look-ahead");
      tree = { kind: "repeat", item: tree, least, most, mode };
    }
  }

  /** At least, at most, and whether braces said it. */
  private counts(): readonly [number, number, boolean] | null {
    if (this.takes("*")) return [0, Infinity, false];
    if (this.takes("+")) return [1, Infinity, false];
    if (this.takes("?")) return [0, 1, false];
    if (!this.takes("{")) return null;
    const least = this.count();
    const most = this.takes(",") ? this.count() : least;
    if (!this.takes("}") || (least === null && most === null) || (least ?? 0) > (most ?? Infinity)) {
      throw new UnknownSyntax("a '{' that counts nothing");
    }
    return [least ?? 0, most ?? Infinity, true];
  }

  private count(): number | null {
    let digits = "";
    while (this.peek() !== "" && "0123456789".includes(this.peek())) digits += this.take();
    if (Number(digits) > LARGEST_COUNT) throw new UnknownSyntax(`a count above ${LARGEST_COUNT}`);
    return digits === "" ? null : Number(digits);
  }
}

class Builder {
  private nodes = 0;

  /** The nodes of `tree`, followed by `next`. */
  build(tree: Tree, next: Node): Node {
    if (++this.nodes > MOST_NODES) throw new UnknownSyntax("too many repetitions");
    switch (tree.kind) {
      case "character":
        return new CharacterNode(tree.character, next);
      case "set":
        return new OneNode(tree.set, next);
      case "sequence":
        return tree.items.reduceRight((following, item) => this.build(item, following), next);
      case "choice":
        return new ChoiceNode(tree.items.map((item) => this.build(item, next)));
      case "look":
        return new LookAheadNode(this.build(tree.item, new EndNode()), tree.isNegative, next);
      case "end":
        return new EndOfTextNode(tree.isLast, next);
      case "repeat":
        if (tree.item.kind === "set") return new RepeatNode(tree.item.set, tree.least, tree.most, tree.mode, next);
        if (tree.item.kind === "character")
          return new RepeatNode(one(tree.item.character), tree.least, tree.most, tree.mode, next);
        return this.repeated(tree.item, tree.least, tree.most, tree.mode, next);
    }
  }

  /** (…){1,3} as (…)((…)((…)|)|). */
  private repeated(item: Tree, least: number, most: number, mode: Mode, next: Node): Node {
    if (most === 0) return next;
    const more = this.build(item, this.repeated(item, Math.max(least - 1, 0), most - 1, mode, next));
    if (least > 0) return more;
    return new ChoiceNode(mode === "lazy" ? [next, more] : [more, next]);
  }
}

function canBeEmpty(tree: Tree): boolean {
  switch (tree.kind) {
    case "set":
    case "character":
      return false;
    case "sequence":
      return tree.items.every(canBeEmpty);
    case "choice":
      return tree.items.some(canBeEmpty);
    case "repeat":
      return tree.least === 0 || canBeEmpty(tree.item);
    default:
      return true;
  }
}

function one(character: number): CharacterSet {
  const set = new CharacterSet();
  set.add(character);
  return set;
}

function allBut(character: number): CharacterSet {
  return one(character).inverted();
}

function isLetter(character: string): boolean {
  return /^[A-Za-z]$/.test(character);
}

/** Beside upper and lower case, ſ is an s and the Kelvin sign a k. */
function withOtherCase(set: CharacterSet): CharacterSet {
  for (let upper = 0x41; upper <= 0x5a; upper++) {
    const others = [upper, upper + 0x20, ...(upper === 0x53 ? [0x17f] : upper === 0x4b ? [0x212a] : [])];
    if (others.some((other) => set.has(other))) others.forEach((other) => set.add(other));
  }
  const others = new CharacterSet();
  others.addAll(set);
  for (const known of [0x17f, 0x212a]) if (others.has(known)) others.toggle(known);
  if (others.hasAny(0x80)) throw new UnknownSyntax("other characters than ASCII without regard to case");
  return set;
}
