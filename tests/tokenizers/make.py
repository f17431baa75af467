"""Writes vectors/<name>.json: small tokenizers with every kind of component, and what Python makes of texts.

python tests/tokenizers/make.py
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

from answers import answer, case_of
from texts import HOSTILE, WORDS, mixture
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = Path(__file__).parent / "vectors"
SENTENCES = [
    "The committee's report, published on Tuesday, says that it won't change its mind before 2026.",
    "I've seen this film twice and I'd see it again: the actors are wonderful, the story isn't.",
    "Der Zug nach Zürich fährt um 12:45 Uhr; naïve Reisende warten länger.",
    *WORDS,
]
GPT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def main() -> None:
    """As above."""
    FOLDER.mkdir(exist_ok=True)
    chooser = random.Random(3)
    texts = [text for text in HOSTILE if len(text) < 70] + SENTENCES + [mixture(chooser) for _ in range(20)]
    for name, make in MAKERS.items():
        tokenizer = Tokenizer.from_str(make().to_str())
        vectors = {
            "tokenizer": json.loads(tokenizer.to_str()),
            "texts": texts,
            "cases": [
                answer(tokenizer, texts, case) for index in range(len(texts)) for case in cases(index, len(texts))
            ],
        }
        text = json.dumps(vectors, separators=(",", ":")).replace('},{"text"', '},\n{"text"')
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="ascii")


def cases(index: int, count: int) -> list[dict[str, Any]]:
    """Each text by itself; every third in a pair that is cut, every third cut by itself."""
    second = (index * 5 + 2) % count
    direction = ("right", "left")[index // 3 % 2]
    strategy = ("longest_first", "only_first", "only_second")[index // 3 % 3]
    further = [
        case_of(index, second, 5 + index % 20, strategy, direction),
        case_of(index, None, 2 + index % 9, "longest_first", direction),
    ]
    return [case_of(index), *further[index % 3 : index % 3 + 1]]


def trained(tokenizer: Tokenizer, trainer: object) -> Tokenizer:
    tokenizer.train_from_iterator(SENTENCES * 2, trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained(tokenizer, trainers.WordPieceTrainer(vocab_size=220, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_tokens([AddedToken("Zürich", single_word=True), AddedToken("[NEW]", lstrip=True, rstrip=True)])
    return tokenizer


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=330,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    return tokenizer


def split_bytes() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=310,
            special_tokens=["<s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    template = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    return tokenizer


def byte_fallback() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained(
        tokenizer, trainers.BpeTrainer(vocab_size=360, special_tokens=special, show_progress=False, limit_alphabet=40)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def suffixed() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"'s|'t|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True
    )
    trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=240,
            special_tokens=["<unk>"],
            continuing_subword_prefix="##",
            end_of_word_suffix="</w>",
            show_progress=False,
        ),
    )
    return tokenizer


RULES = {
    "ａ": "a",
    "ﬁ": "fi",
    "\u00ad": "",
    "\r\n": " ",
    "\n": " ",
    "\t": " ",
    "A\u030a": "Å",
    "²": "2",
    "½": "1⁄2",
    "\u3000": " ",
    "中": "zh",
}


def charsmap() -> bytes:
    """RULES in sentencepiece's form: a double-array trie, and the replacements."""
    units, texts = [0] * (1 << 14), b""
    taken = {0}

    def place(node: int, label: int, keys: dict[bytes, int]) -> None:
        children = sorted({key[0] for key in keys if key})
        base = next(b for b in range(256, 1 << 14, 256) if taken.isdisjoint({b, *(b ^ child for child in children)}))
        taken.update({base, *(base ^ child for child in children)})
        is_leaf = b"" in keys
        units[node] = label | is_leaf << 8 | (node ^ base) << 10
        if is_leaf:
            units[base] = 1 << 31 | keys[b""]
        for child in children:
            place(base ^ child, child, {key[1:]: value for key, value in keys.items() if key[:1] == bytes([child])})

    places = {}
    for key, replacement in RULES.items():
        places[key.encode()] = len(texts)
        texts += replacement.encode() + b"\0"
    place(0, 0, places)
    used = units[: (max(taken) | 0xFF) + 1]  # whole blocks, so that no byte leads out of them
    return struct.pack("<I", 4 * len(used)) + struct.pack(f"<{len(used)}I", *used) + texts


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap()), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trained(
        tokenizer,
        trainers.UnigramTrainer(
            vocab_size=200, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    return tokenizer


def unigram_bytes() -> Tokenizer:
    pieces = [
        ("<unk>", 0.0),
        *((f"<0x{byte:02X}>", -9.0) for byte in range(256)),
        ("▁", -2.0),
        ("▁the", -3.5),
        ("th", -4.25),
        ("e", -3.0),
        ("a", -3.0),
        ("an", -5.5),
        ("n", -3.1),
    ]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Nmt()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


def word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
    parts = [
        pre_tokenizers.Whitespace(),
        pre_tokenizers.Punctuation("merged_with_next"),
        pre_tokenizers.Digits(individual_digits=True),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.CharDelimiterSplit("_")])
    trained(tokenizer, trainers.WordLevelTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False))
    return tokenizer


def bytes_first() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split("Ġ", "merged_with_next"),
            pre_tokenizers.Split(Regex("[0-9]+"), "contiguous"),
        ]
    )
    trained(tokenizer, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>"], show_progress=False))
    return tokenizer


MAKERS = {
    make.__name__: make
    for make in (
        word_piece,
        byte_level,
        split_bytes,
        byte_fallback,
        suffixed,
        unigram,
        unigram_bytes,
        word_level,
        bytes_first,
    )
}


if __name__ == "__main__":
    main()
