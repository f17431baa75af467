"""Fitting a base model to its adapters: the head's width, rows of tokens, labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from edgeformer.errors import AdapterError
from edgeformer.lora import Adapter, LoraConfig, SavedTensor, TokenRows, fit_base, labels_for_head
from edgeformer.lora.base_model import BaseChange, input_embedding

EMBEDDING = "bert.embeddings.word_embeddings"


@pytest.fixture
def bert() -> nn.Module:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(**sizes, vocab_size=40, num_labels=2)).requires_grad_(False)


def adapter(path: str = "lora", tokens: dict[str, TokenRows] | None = None, **saved: torch.Tensor) -> Adapter:
    kept = {
        name: SavedTensor(name, tensor, "embedding" if name.startswith(EMBEDDING) else "module")
        for name, tensor in ((key.replace("__", "."), tensor) for key, tensor in saved.items())
    }
    return Adapter(path, Path(path), LoraConfig(4, 4), {}, kept, tokens=tokens or {})


def head(width: int) -> dict[str, torch.Tensor]:
    return {"classifier__weight": torch.ones(width, 16), "classifier__bias": torch.ones(width)}


def test_nothing_to_fit(bert: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in bert.state_dict().items()}
    assert fit_base(bert, [adapter(), adapter(**head(2))]) == BaseChange()
    assert all(torch.equal(before[name], tensor) for name, tensor in bert.state_dict().items())


def test_a_wider_head(bert: Any) -> None:
    change = fit_base(bert, [adapter(**head(5))])
    assert change.head_width == 5
    assert change.untrained == {"classifier.weight", "classifier.bias"}
    assert (bert.classifier.out_features, bert.config.num_labels, bert.num_labels) == (5, 5, 5)
    assert bert(input_ids=torch.ones(1, 3, dtype=torch.long)).logits.shape == (1, 5)


@pytest.mark.parametrize("rows", [37, 43])
def test_a_table_of_another_length(bert: Any, rows: int) -> None:
    old = bert.get_input_embeddings().weight.clone()
    change = fit_base(bert, [adapter(**{f"{EMBEDDING}.weight".replace(".", "__"): torch.ones(rows, 16)})])
    table = bert.get_input_embeddings()
    assert (change.vocab_size, table.num_embeddings, bert.config.vocab_size) == (rows, rows, rows)
    assert change.untrained == {f"{EMBEDDING}.weight"}
    assert torch.equal(table.weight[: min(rows, 40)], old[:rows])


def test_rows_that_come_from_nowhere(bert: nn.Module) -> None:
    rows = TokenRows(EMBEDDING, (3, 42), torch.ones(2, 16))
    with pytest.raises(
        AdapterError, match="brings rows for tokens up to 42, the base model has 40, and those of 40, 41"
    ):
        fit_base(bert, [adapter(tokens={EMBEDDING: rows})])


def test_a_module_without_a_table() -> None:
    assert input_embedding(nn.Linear(2, 2)) is None
    assert fit_base(nn.Linear(2, 2), [adapter()]) == BaseChange()


@pytest.mark.parametrize(
    ("given", "known", "width", "names", "note"),
    [
        ((), ("LABEL_0", "LABEL_1"), None, ("LABEL_0", "LABEL_1"), ""),
        ((), ("no", "yes"), None, ("no", "yes"), "labels are the base model's (no, yes)"),
        (("no", "yes"), ("no", "yes"), None, ("no", "yes"), ""),
        ((), ("no", "yes"), 3, (), "3 outputs and no names"),
        ((), (), 3, (), "3 outputs and no names"),
        (("a", "b", "c"), ("a", "b", "c"), 3, ("a", "b", "c"), ""),
    ],
)
def test_labels_for_head(
    given: tuple[str, ...], known: tuple[str, ...], width: int | None, names: tuple[str, ...], note: str
) -> None:
    found, notes = labels_for_head(given, known, BaseChange(head_width=width), [adapter(**head(width or 2))])
    assert found == names
    assert note in " ".join(notes)
    assert bool(note) == bool(notes)


def test_labels_of_another_number() -> None:
    with pytest.raises(AdapterError, match="3 outputs, but 2 labels are named: a, b"):
        labels_for_head(("a", "b"), ("a", "b"), BaseChange(head_width=3), [adapter(**head(3))])
