"""A small tokenizer of each family, and texts of every kind of character."""

from __future__ import annotations

import random

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's what they'd have done, isn't it? 1234 567,89",
    "Élan vital; naïve façade, Ångström & œuvre. Straße İstanbul ſ K",
    "東京は日本の首都です。 한국어 텍스트 서울",
    "مرحبا بالعالم हिन्दी भाषा ไทย",
    "def f(x):\n\treturn x ** 2  # squared",
    "emoji 🙂🙃👩‍👩‍👧 and ﬁgures ½ ²  ①",
]
PIECES = [
    *"abcdefghijklmnop THEIX 0123456789 .,;:!?'\"()-_/ \t\n",
    *[
        "ä",
        "é",
        "e\u0301",
        "a\u0323\u0301",
        "ß",
        "İ",
        "ſ",
        "ﬁ",
        "½",
        "①",
        "Å",
        "\u00a0",
        "\u2003",
        "\u200b",
        "\u0000",
        "\ufeff",
    ],
    *["東", "京", "한", "\u1112\u1161\u11ab", "ا", "ل", "हि", "ก", "🙂", "👩‍👩‍👧", "[MASK]", "[SEP]"],
    *["the ", " quick", "fox", "isn't", "they'd", "<x>", "  ", "   ", "_"],
]
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def texts() -> list[str]:
    """The corpus, and random mixtures of PIECES."""
    chooser = random.Random(5)
    return ["", " ", *CORPUS, *("".join(chooser.choices(PIECES, k=chooser.randint(1, 30))) for _ in range(120))]


def small_tokenizers() -> dict[str, Tokenizer]:
    """By name: families as BERT, RoBERTa, Qwen, T5, Llama, and one of whole words."""
    template = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    return {
        "bert": bert(),
        "roberta": roberta(),
        "qwen": qwen(template),
        "t5": t5(template),
        "llama": llama(template),
        "words": words(),
    }


def bert() -> Tokenizer:
    """WordPiece."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL))
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    return made


def _bytes_trainer() -> trainers.BpeTrainer:
    letters = pre_tokenizers.ByteLevel.alphabet()
    return trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=letters)


def roberta() -> Tokenizer:
    """BPE of bytes, offsets without spaces."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.train_from_iterator(CORPUS, _bytes_trainer())
    made.post_processor = processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_tokens([AddedToken("<x>", rstrip=True, single_word=True)])
    return made


def qwen(template: processors.TemplateProcessing) -> Tokenizer:
    """BPE of bytes, words by a regular expression."""
    made = Tokenizer(models.BPE(ignore_merges=True))
    made.normalizer = normalizers.NFC()
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(WORDS), "isolated"), plain])
    made.train_from_iterator(CORPUS, _bytes_trainer())
    made.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return made


def t5(template: processors.TemplateProcessing) -> Tokenizer:
    """Unigram."""
    made = Tokenizer(models.Unigram())
    steps = [normalizers.Nmt(), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    made.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="[UNK]")
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = template
    return made


def llama(template: processors.TemplateProcessing) -> Tokenizer:
    """BPE of characters that falls back to bytes, but one of them, and to the unknown token."""
    made = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256) if byte != 0xF0)]
    rows = [text.replace(" ", "▁") for text in CORPUS[:2]]
    made.train_from_iterator(rows, trainers.BpeTrainer(vocab_size=450, special_tokens=special))
    made.post_processor = template
    return made


def words() -> Tokenizer:
    """WordLevel, without special tokens."""
    made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(), normalizers.Lowercase()])
    steps = [
        pre_tokenizers.Whitespace(),
        pre_tokenizers.Digits(True),
        pre_tokenizers.Punctuation("merged_with_previous"),
    ]
    made.pre_tokenizer = pre_tokenizers.Sequence(steps)
    made.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=SPECIAL))
    return made
