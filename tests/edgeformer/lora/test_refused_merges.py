"""Adapters that don't fit their model: a sentence each, and nothing is merged."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
)

from edgeformer.errors import AdapterError
from edgeformer.lora import merge_adapters, read_adapter

sys.path.insert(0, str(Path(__file__).parent))
from peft_models import HEAD, LINEARS, QUERY, TINY, Convolutions, bert, edit, peft, roberta, train

pytestmark = pytest.mark.filterwarnings("ignore")


def refused(module: nn.Module, path: Path) -> str:
    with pytest.raises(AdapterError) as error:
        merge_adapters(module, [read_adapter(path)])
    return str(error.value)


def test_no_adapter() -> None:
    with pytest.raises(AdapterError, match="no adapter to merge"):
        merge_adapters(bert(), [])


def test_another_hidden_size(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=LINEARS)
    message = refused(bert(hidden_size=32), tmp_path)
    assert f"{QUERY}', whose weight is [32, 32], expects lora_A [4, 32], got [4, 16]" in message


def test_another_vocabulary(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["word_embeddings"])
    assert "expects lora_A [4, 50], got [4, 40]" in refused(bert(vocab_size=50), tmp_path)


def test_resized_vocabulary(tmp_path: Path) -> None:
    trained = train(bert(), tmp_path, target_modules=LINEARS)
    trained.save_pretrained(tmp_path, save_embedding_layers=True)
    merge_adapters(bert(), [read_adapter(tmp_path)])  # the same rows: nothing to object
    assert "the vocabulary was resized in training" in refused(bert(vocab_size=50), tmp_path)


def test_another_family(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=LINEARS)
    assert "trained on a 'bert' model, but the base model is a 'roberta' one" in refused(roberta(), tmp_path)


def test_fewer_layers(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"])
    assert "has no layer 'bert.encoder.layer.1.attention.self.query': the nearest is 'bert.encoder" in refused(
        bert(num_hidden_layers=1), tmp_path
    )


def test_more_layers(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"])
    message = refused(bert(num_hidden_layers=3), tmp_path)
    assert "target_modules names the layer 'bert.encoder.layer.2.attention.self.query'" in message


def test_head_or_no_head(tmp_path: Path) -> None:
    bare = BertModel(BertConfig(**TINY))
    train(bert(), tmp_path / "head", target_modules=["query"])
    train(bare, tmp_path / "bare", target_modules=["query"])
    assert "load the base model with that head" in refused(bare, tmp_path / "head")
    assert "load the base model without a task head" in refused(bert(), tmp_path / "bare")


def test_untrained_adapter_has_no_effect(tmp_path: Path) -> None:
    for name, config in {"lora": {}, "dora": {"use_dora": True}, "bias": {"bias": "all"}}.items():
        model = peft.get_peft_model(bert(), peft.LoraConfig(r=4, target_modules=LINEARS, **config))
        model.save_pretrained(tmp_path / name)
        assert "loaded, but has no effect" in refused(bert(), tmp_path / name)


def test_one_of_two_without_effect(tmp_path: Path) -> None:
    train(bert(), tmp_path / "good", target_modules=LINEARS)
    peft.get_peft_model(bert(), peft.LoraConfig(target_modules=LINEARS)).save_pretrained(tmp_path / "empty")
    with pytest.raises(AdapterError, match="empty: loaded, but has no effect"):
        merge_adapters(bert(), [read_adapter(tmp_path / name) for name in ("good", "empty")])


def test_overflow(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"])
    edit(tmp_path, lambda tensors: tensors.update({name: tensors[name] * 1e30 for name in list(tensors)}))
    assert "the merged weight has NaN or infinity" in refused(bert(), tmp_path)


def test_a_bias_that_bias_all_trained_is_missed(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=LINEARS, bias="all")
    edit(tmp_path, lambda tensors: tensors.pop("base_model.model.bert.encoder.layer.0.intermediate.dense.bias"))
    assert "bias='all' trained 'bert.encoder.layer.0.intermediate.dense.bias', but" in refused(bert(), tmp_path)


TOKENS = {"target_modules": LINEARS, "trainable_token_indices": {"word_embeddings": [3, 39]}}
ROWS = "base_model.model.bert.embeddings.word_embeddings.token_adapter.trainable_tokens_delta"


@pytest.mark.parametrize(
    ("change", "base", "message"),
    [
        (
            lambda t: t.update({ROWS: t[ROWS][:1].clone()}),
            {},
            "shape [1, 16], torch.float32, but trainable_token_indices",
        ),
        (lambda t: t.update({ROWS: t[ROWS].int()}), {}, "shape [2, 16], torch.int32"),
        (lambda t: t.pop(ROWS), {}, "names tokens, but the file holds no trained rows"),
        (lambda t: None, {"vocab_size": 39}, "has a row for token 39, but the base's"),
        (lambda t: t.update({ROWS: t[ROWS][:, :8].clone()}), {}, "is 16 wide, its rows of tokens 8"),
        (
            lambda t: t.update({ROWS.replace("word_embeddings", "LayerNorm"): t.pop(ROWS)}),
            {},
            "shape [2, 16], torch.float32, but trainable_token_indices names 0 tokens for it",
        ),
    ],
)
def test_rows_of_tokens_that_do_not_fit(
    change: Callable[..., object], base: dict[str, Any], message: str, tmp_path: Path
) -> None:
    train(bert(), tmp_path, **TOKENS)
    edit(tmp_path, change)
    assert message in refused(bert(**base), tmp_path)


def test_a_token_named_twice(tmp_path: Path) -> None:
    train(bert(), tmp_path, **TOKENS)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "trainable_token_indices": [3, 3]}))
    assert "names a token of 'bert.embeddings.word_embeddings' twice" in refused(bert(), tmp_path)


def test_a_bias_of_b_of_another_size(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], lora_bias=True)
    edit(tmp_path, lambda tensors: tensors.update({f"{LORA}.lora_B.bias": torch.ones(8)}))
    assert "expects the bias of lora_B [16], got [8]" in refused(bert(), tmp_path)


def test_saved_integers_are_no_weights(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], modules_to_save=["classifier"])
    edit(tmp_path, lambda tensors: tensors.update({f"{HEAD}.bias": tensors[f"{HEAD}.bias"].int()}))
    assert "'classifier.bias' is torch.int32 in its file" in refused(bert(), tmp_path)


LORA = f"base_model.model.{QUERY}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(f"{HEAD}.bias"), "modules_to_save covers 'classifier.bias', but the file doesn't"),
        (
            lambda t: (t.pop(f"{LORA}.lora_A.weight"), t.pop(f"{LORA}.lora_B.weight")),
            "the file is incomplete",
        ),
        (lambda t: t.update({f"{HEAD}.extra": torch.ones(1)}), "Linear 'classifier' has no 'extra'"),
        (lambda t: t.update({f"{HEAD}.weight": torch.ones(3, 8)}), "expected to be [3, 16], got [3, 8]"),
        (lambda t: t.update({f"{HEAD}.weight": torch.ones(5, 16)}), "for 5 labels, but a bias for 3"),
        (
            lambda t: t.update({"base_model.model.bert.pooler.dense.weight": torch.ones(16, 16)}),
            "'bert.pooler.dense.weight' is unknown: neither LoRA",
        ),
        (
            lambda t: t.update(
                {
                    "base_model.model.bert.encoder.lora_A.weight": torch.ones(4, 8),
                    "base_model.model.bert.encoder.lora_B.weight": torch.ones(8, 4),
                }
            ),
            "layer 'bert.encoder' is a BertEncoder: only Linear",
        ),
        (
            lambda t: t.update(
                {
                    "base_model.model.bert.pooler.dense.lora_A.weight": torch.ones(4, 16),
                    "base_model.model.bert.pooler.dense.lora_B.weight": torch.ones(16, 4),
                }
            ),
            "has LoRA tensors for the layer 'bert.pooler.dense', which target_modules",
        ),
        (
            lambda t: t.update(
                {
                    f"{LORA}.lora_embedding_A": t.pop(f"{LORA}.lora_A.weight"),
                    f"{LORA}.lora_embedding_B": t.pop(f"{LORA}.lora_B.weight"),
                }
            ),
            "is a Linear: expected lora_A/B",
        ),
    ],
)
def test_files_that_do_not_fit(change: Callable[..., object], message: str, tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], modules_to_save=["classifier"])
    edit(tmp_path, change)
    assert message in refused(bert(), tmp_path)


def test_grouped_convolution(tmp_path: Path) -> None:
    module = Convolutions()
    train(module, tmp_path, target_modules=["line"])
    module.line = nn.Conv1d(4, 6, 3, groups=2)
    assert "grouped convolution" in refused(module, tmp_path)


def test_dora_magnitude_of_another_size(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], use_dora=True)
    edit(tmp_path, lambda tensors: tensors.update({f"{LORA}.lora_magnitude_vector": torch.ones(8)}))
    assert "expects a lora_magnitude_vector of 16 elements, got [8]" in refused(bert(), tmp_path)
