"""AdaLoRA as the plain LoRA that it equals, against peft's own model: with all ranks, and after some were pruned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from edgeformer.errors import AdapterError
from edgeformer.lora import merge_adapters, read_adapter

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings("ignore")
FEEDS = {"input_ids": torch.arange(2, 22).reshape(2, 10), "attention_mask": torch.ones(2, 10)}
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def base() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return BertForSequenceClassification(BertConfig(**sizes, vocab_size=40, max_position_embeddings=24)).eval()


def train(base: nn.Module, path: Path, keep: Callable[[int, int], list[bool]] | None = None, **config: Any) -> Any:
    """An AdaLoRA as peft saves it; ``keep(layer, init_r)`` says which ranks its allocator left."""
    settings = {"target_modules": ["query", "value"], "total_step": 10, "init_r": 6, "task_type": "SEQ_CLS", **config}
    model = peft.get_peft_model(copy.deepcopy(base), peft.AdaLoraConfig(**settings))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "ranknum" not in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    if keep is not None:
        factors = [name for name, _ in model.base_model.model.named_parameters() if "lora_E" in name]
        pattern = {name: keep(index, settings["init_r"]) for index, name in enumerate(factors)}
        model.peft_config["default"].rank_pattern = pattern
    model.eval().save_pretrained(path)
    return model


def logits(module: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return module(**FEEDS).logits


@pytest.mark.parametrize("config", [{}, {"lora_alpha": 32}, {"init_r": 12}, {"lora_alpha": -1}])
def test_equals_peft(config: dict[str, Any], base: nn.Module, tmp_path: Path) -> None:
    trained = train(base, tmp_path, **config)
    result = merge_adapters(base, [read_adapter(tmp_path)])
    torch.testing.assert_close(logits(result.module), logits(trained), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(logits(result.module), logits(base), atol=1e-3)


def test_pruned_ranks_equal_what_peft_loads(base: nn.Module, tmp_path: Path) -> None:
    """Each layer keeps another number of ranks, the first none at all."""
    train(base, tmp_path, lambda layer, rank: [place < 2 * layer for place in range(rank)])
    expected = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path).eval()
    result = merge_adapters(base, [read_adapter(tmp_path)])
    torch.testing.assert_close(logits(result.module), logits(expected), rtol=1e-5, atol=1e-5)


def edit(path: Path, change: Callable[[dict[str, torch.Tensor], str], object]) -> None:
    tensors = load_file(path / WEIGHTS)
    change(tensors, next(name for name in sorted(tensors) if name.endswith("lora_E")))
    save_file(tensors, path / WEIGHTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, name: tensors.pop(name), r"expected lora_A \[r, in\], lora_E \[r, 1\]"),
        (
            lambda tensors, name: tensors.update({name: tensors[name][:2].clone()}),
            r"with r up to 6, got \[6, 16\], \[2",
        ),
        (lambda tensors, name: tensors.pop(name.replace("lora_E", "lora_A")), r"lora_B' is unknown"),
    ],
)
def test_factors_that_do_not_fit(change: Callable[..., object], message: str, base: nn.Module, tmp_path: Path) -> None:
    train(base, tmp_path)
    edit(tmp_path, change)
    with pytest.raises(AdapterError, match=message):
        read_adapter(tmp_path)
