"""Which tokenizer goes with the adapters: the base's, or one with more tokens that gives the known ones their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from edgeformer.errors import AdapterError
from edgeformer.lora import Adapter, LoraConfig, tokenizer_directory

KNOWN = ["[PAD]", "[UNK]", "good", "bad"]


@pytest.fixture
def bert() -> nn.Module:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    return BertModel(BertConfig(**sizes, vocab_size=6))


def place(folder: Path, words: list[str] | None) -> Path:
    """A directory with a tokenizer of these words, or with none."""
    folder.mkdir()
    if words is not None:
        tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(
            folder
        )
    return folder


def choose(tmp_path: Path, module: nn.Module, base: Any, *adapters: Any, resized: bool = False) -> tuple[str, str]:
    directory = place(tmp_path / "base", base)
    parts = [
        Adapter(f"lora{index}", place(tmp_path / f"lora{index}", words), LoraConfig(4, 4), {}, {})
        for index, words in enumerate(adapters)
    ]
    found, notes = tokenizer_directory(directory, parts, module, resized=resized)
    return found.name, " ".join(notes)


@pytest.mark.parametrize(
    ("base", "adapters", "chosen", "note"),
    [
        (KNOWN, [], "base", ""),
        (None, [], "base", ""),
        (KNOWN, [None], "base", ""),
        (KNOWN, [KNOWN], "base", ""),
        (KNOWN, [KNOWN[:3]], "base", ""),
        (KNOWN, [[*KNOWN, "<T1>", "<T2>"]], "lora0", "2 tokens more than the base's (<T1>, <T2>)"),
        (KNOWN, [None, [*KNOWN, "<T1>"]], "lora1", "tokenizer of lora1: 1 token more"),
        (KNOWN, [[*KNOWN, "<T1>"], [*KNOWN, "<T1>"]], "lora0", "tokenizer of lora0"),
        (None, [KNOWN], "lora0", "4 tokens more"),
    ],
)
def test_the_tokenizer_that_is_chosen(
    base: Any, adapters: list[Any], chosen: str, note: str, tmp_path: Path, bert: nn.Module
) -> None:
    found, notes = choose(tmp_path, bert, base, *adapters)
    assert found == chosen
    assert note in notes
    assert bool(note) == bool(notes)


@pytest.mark.parametrize(
    ("base", "adapters", "message"),
    [
        (KNOWN, [["[PAD]", "[UNK]", "bad", "good"]], "gives '(bad|good)' the id ., that of .*another base model"),
        (KNOWN, [[*KNOWN[:3], "fine"]], "has 'fine' but not 'bad'"),
        (KNOWN, [[*KNOWN, "<T1>", "<T2>", "<T3>"]], "gives '<T3>' the id 6, but neither the base nor it has a row"),
        (KNOWN, [[*KNOWN, "<T1>"], [*KNOWN, "<T2>"]], "lora1: its tokenizer has '<T2>' but not '<T1>'"),
    ],
)
def test_tokenizers_that_are_refused(
    base: Any, adapters: list[Any], message: str, tmp_path: Path, bert: nn.Module
) -> None:
    with pytest.raises(AdapterError, match=message):
        choose(tmp_path, bert, base, *adapters)


def test_rows_without_a_tokenizer_are_named(tmp_path: Path, bert: nn.Module) -> None:
    assert "no tokenizer beside it" in choose(tmp_path, bert, KNOWN, None, resized=True)[1]
