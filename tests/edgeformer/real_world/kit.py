"""What the tests of real-world inputs share: tiny models as people save them, rows, and the two command lines."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

_TEXT = """the a market team player film court bank rises falls wins loses great awful slow fast rain sun river train
    new old price match goal song vote law code phone edge small large model test good bad happy sad"""
WORDS = _TEXT.split()
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 64,
}  # fmt: skip


def sentences(count: int, seed: int = 0, words: tuple[int, int] = (3, 14)) -> list[str]:
    """Texts of the tokenizers' own words, each with a number behind it; equal for an equal seed."""
    draw = random.Random(seed)
    return [
        " ".join(draw.choice(WORDS) for _ in range(draw.randint(*words))) + f" {draw.randint(0, 99)}"
        for _ in range(count)
    ]


def wordpiece(directory: Path, **settings: Any) -> transformers.PreTrainedTokenizerFast:
    """A BERT tokenizer, trained on the words above and saved by transformers."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(sentences(300, 7), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return _saved(tokenizer, directory, {**names, "mask_token": "[MASK]", "model_max_length": 64, **settings})


def byte_bpe(directory: Path, **settings: Any) -> transformers.PreTrainedTokenizerFast:
    """RoBERTa's kind of tokenizer: <s> is 0, <pad> 1, </s> 2; no token types."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(sentences(300, 7), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>"}
    more = {"eos_token": "</s>", "mask_token": "<mask>", "model_max_length": 64}
    return _saved(tokenizer, directory, {**names, **more, **settings})


def _saved(tokenizer: Any, directory: Path, settings: dict[str, Any]) -> transformers.PreTrainedTokenizerFast:
    directory.mkdir(parents=True, exist_ok=True)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **settings)
    fast.save_pretrained(directory)
    return fast


def seeded(model_class: Any, config: Any, seed: int = 0, gain: float = 2.0) -> Any:
    """A model with random weights, large enough that its inputs matter, equal for an equal seed."""
    torch.manual_seed(seed)
    model = model_class(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.mul_(gain)
            elif "bias" in name:
                parameter.normal_(0, 0.1)
    return model


def bert_classifier(directory: Path, **config: Any) -> transformers.BertForSequenceClassification:
    """A BERT classifier with its tokenizer, saved in ``directory``; ``config`` overrides BertConfig's values."""
    tokenizer = wordpiece(directory)
    settings = {"vocab_size": len(tokenizer), "num_labels": 3, **SMALL, **config}
    model = seeded(transformers.BertForSequenceClassification, transformers.BertConfig(**settings))
    model.save_pretrained(directory)
    return model


def lora(model: Any, directory: Path, targets: Sequence[str] = ("query", "value")) -> Path:
    """A LoRA adapter of rank 4 that changes ``model``, saved in ``directory`` as peft does."""
    from peft import LoraConfig, get_peft_model

    tuned = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=4, target_modules=list(targets)))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    tuned.save_pretrained(directory)
    return directory


def write_csv(path: Path, columns: dict[str, Sequence[Any]], delimiter: str = ",") -> Path:
    """A CSV file of these columns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams, on one line each."""
        return f"{self.out}\n{self.err}"


def compile_model(
    capsys: Any, model: Path, bundle: Path, *more: Any, recipe: str = "float32", format: str = "onnx"
) -> Ran:
    """``edgeformer compile`` as a user calls it, in this process; a traceback fails the test."""
    from edgeformer import cli

    given = ["compile", model, "-o", bundle, "--recipe", recipe, "--format", format, *more]
    return ran(capsys, cli.main, given)


def ran(capsys: Any, main: Any, given: Sequence[Any]) -> Ran:
    """A command line's ``main`` with these words; no exception may leave it."""
    capsys.readouterr()
    try:
        status = main([str(word) for word in given])
    except SystemExit as stop:
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    result = Ran(status, captured.out, captured.err)
    assert "Traceback" not in result.text, result.text
    return result


def predictions(bundle: Path, inputs: Sequence[Any], variant: str = "auto") -> list[Any]:
    """``Session.predict`` on a bundle, one thread."""
    from edgeformer_runtime import Session

    with Session.open(bundle, variant=variant, threads=1) as session:
        return session.predict(list(inputs))


def probabilities(found: Sequence[Any]) -> np.ndarray:
    """[rows, labels] of classifications, in the order of the model's labels."""
    return np.array([list(item.scores.values()) for item in found])


def transformers_logits(
    directory: Path, texts: Sequence[Any], head: str = "AutoModelForSequenceClassification", max_length: int = 64
) -> np.ndarray:
    """[rows, labels]: transformers' own tokenizer and model, one text (or pair) at a time, float32."""
    model = getattr(transformers, head).from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    rows = []
    for text in texts:
        parts = text if isinstance(text, tuple) else (text,)
        # transformers 5 leaves the types out for a class that it has no file of, though the tokenizer makes them
        types = len(parts) == 2 and getattr(model.config, "type_vocab_size", 0) > 1
        more = {"return_token_type_ids": True} if types else {}
        encoded = tokenizer(*parts, truncation=True, max_length=max_length, return_tensors="pt", **more)
        with torch.no_grad():
            rows.append(model(**encoded).logits[0].numpy())
    return np.array(rows)


def our_logits(directory: Path, texts: Sequence[Any], max_length: int = 64, **loading: Any) -> np.ndarray:
    """[rows, labels]: what is exported, run in torch on what the device's encoder makes of each text or pair."""
    import edgeformer as ef
    from edgeformer.data.encoding import text_preprocess
    from edgeformer_runtime.preprocess.text import TextEncoder

    model = ef.load_model(directory, **loading)
    preprocess = text_preprocess(model.signature, max_length)
    encoder = TextEncoder(model.tokenizer.encode(), preprocess, model.inputs)
    module = model.callable_module()
    rows = []
    for text in texts:
        feeds = encoder.encode(*(text if isinstance(text, tuple) else (text,))).feeds
        with torch.no_grad():
            rows.append(module(*(torch.from_numpy(feeds[spec.name]) for spec in model.inputs))[0][0].numpy())
    return np.array(rows)


def tuned(
    base: Path, adapter: Path, head: str = "SequenceClassification", labels: int | None = None, **config: Any
) -> Any:
    """peft's model on the directory ``base`` with LoRA as ``config`` says, all that is trainable moved; saved in
    ``adapter`` and returned."""
    import peft

    torch.manual_seed(4)
    extra = {} if labels is None else {"num_labels": labels, "ignore_mismatched_sizes": True}
    model = getattr(transformers, f"AutoModelFor{head}" if head else "AutoModel").from_pretrained(base, **extra)
    return trained(peft.get_peft_model(model, peft.LoraConfig(**config)), adapter)


def trained(model: Any, adapter: Path, **saving: Any) -> Any:
    """A peft model with everything trainable moved away from where it began, saved in ``adapter``."""
    generator = torch.Generator().manual_seed(5)
    for _, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    model.eval().save_pretrained(adapter, **saving)
    return model


def merged(base: Path, adapters: Path | Sequence[Path], said: list[str] | None = None, **options: Any) -> Any:
    """What a compile has after its pass ``merge_lora``; ``said`` collects what it printed of the adapters."""
    from edgeformer.loading.load import load_model
    from edgeformer.passes.base import PassContext
    from edgeformer.passes.merge_lora import AdapterSource, MergeLora

    paths = [adapters] if isinstance(adapters, Path) else list(adapters)
    model = load_model(base, adapters=paths, **options)
    lines = [] if said is None else said
    lines.extend(model.notes)
    sources = tuple(AdapterSource(str(path)) for path in paths)
    context = PassContext(progress=lines.append, allow_pickle=bool(options.get("allow_pickle")))
    return MergeLora(sources).run(model, context).model


def first_output(module: Any, ids: torch.Tensor | None = None) -> torch.Tensor:
    """A model's first output for a few tokens, none of them special."""
    tokens = torch.arange(5, 25).reshape(2, 10) if ids is None else ids
    with torch.no_grad():
        return module(input_ids=tokens, attention_mask=torch.ones_like(tokens))[0]


def rewrite(directory: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Replace the tensors of model.safetensors by ``change(tensors)``."""
    file = directory / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def reconfigure(directory: Path, **settings: Any) -> None:
    """Change config.json; None takes a key away."""
    file = directory / "config.json"
    config = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
