"""Writes what Python's `tokenizers` makes of many texts with tokenizers of real models, for readers in other languages.

    python tests/tokenizers/make_large.py [--texts 20000] [--into build/tokenizers] [--only minilm t5]

build/tokenizers/texts.json, <name>.json of each tokenizer, and <name>.jsonl: what each line is, README.md says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from answers import answer, case_of
from real import write_all
from texts import all_texts
from tokenizers import Tokenizer


def main() -> None:
    """As above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--into", type=Path, default=Path("build/tokenizers"))
    parser.add_argument("--only", nargs="+", help="names of tokenizers; the others' answers stay as they are")
    options = parser.parse_args()
    origins = write_all(options.into)
    texts = all_texts(options.texts)
    (options.into / "texts.json").write_text(json.dumps(texts), encoding="ascii")
    (options.into / "origins.json").write_text(json.dumps(origins), encoding="ascii")
    for name in options.only or origins:
        tokenizer = Tokenizer.from_file(str(options.into / f"{name}.json"))
        unfinished = options.into / f"{name}.unfinished"
        with unfinished.open("w", encoding="ascii") as file:
            for index in range(len(texts)):
                for case in cases(index, len(texts)):
                    file.write(json.dumps(answer(tokenizer, texts, case), separators=(",", ":")) + "\n")
        unfinished.rename(options.into / f"{name}.jsonl")
        print(name, origins[name], flush=True)


def cases(index: int, count: int) -> list[dict[str, object]]:
    """Each text by itself; each fourth in a pair too, and another fourth cut to few tokens, in every way."""
    found = [case_of(index)]
    second = (index * 7 + 1) % count
    if index % 4 == 0:
        found.append(case_of(index, second))
    if index % 4 == 1:
        found.append(case_of(index, None, 2 + index % 23, "longest_first", ("right", "left")[index // 4 % 2]))
    if index % 4 == 2:
        strategy = ("longest_first", "only_first", "only_second")[index // 4 % 3]
        found.append(case_of(index, second, 4 + index % 37, strategy, ("right", "left")[index // 12 % 2]))
    return found


if __name__ == "__main__":
    main()
