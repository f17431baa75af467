"""Tiny models, adapters that peft trains on them, and what peft itself makes of both."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    ViTConfig,
    ViTModel,
)

from edgeformer.lora import MergeResult

peft = pytest.importorskip("peft")

TOLERANCE = 1e-6
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 40,
    "max_position_embeddings": 24,
}
HEAD = "base_model.model.classifier"
LINEARS = ["query", "value"]
QUERY = "bert.encoder.layer.0.attention.self.query"


def bert(labels: int = 3, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**(TINY | changes), num_labels=labels)).eval()


def roberta(labels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return RobertaForSequenceClassification(RobertaConfig(**TINY, num_labels=labels)).eval()


def distilbert() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": 40, "max_position_embeddings": 24}
    return DistilBertForSequenceClassification(DistilBertConfig(**sizes, num_labels=3)).eval()


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 40, "n_positions": 24}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    return GPT2ForSequenceClassification(GPT2Config(**sizes, **ids, num_labels=3)).eval()


def vit() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    return ViTModel(ViTConfig(**sizes, image_size=8, patch_size=4)).eval()


class Convolutions(nn.Module):
    """Conv1d, Conv2d with a kernel of 3 and of 1, Conv3d, so that each is merged once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Conv1d(4, 6, 3)
        self.plane = nn.Conv2d(3, 5, (3, 2))
        self.point = nn.Conv2d(5, 4, 1)
        self.space = nn.Conv3d(2, 4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Each layer on a part of ``x`` of shape [batch, 48], summed up."""
        plane = self.point(self.plane(x.reshape(-1, 3, 4, 4)))
        return self.line(x.reshape(-1, 4, 12)).sum() + plane.sum() + self.space(x.reshape(-1, 2, 4, 3, 2)).sum()


def train(module: nn.Module, path: Path, **config: Any) -> Any:
    """Attach an adapter with peft, give everything that is trainable random values, save it to ``path``."""
    base = copy.deepcopy(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(base, peft.LoraConfig(**({"r": 4, "lora_alpha": 8} | config)))
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            noise = 0.1 * torch.randn(parameter.shape, generator=generator)
            keep = 1.0 if "magnitude" in name else 0.0
            parameter.data = keep * parameter.data + noise
    model.eval().save_pretrained(path)
    return model


def inputs(module: nn.Module) -> dict[str, torch.Tensor]:
    if isinstance(module, Convolutions):
        return {"x": torch.linspace(-1, 1, 96).reshape(2, 48)}
    if isinstance(module, ViTModel):
        return {"pixel_values": torch.linspace(-1, 1, 384).reshape(2, 3, 8, 8)}
    ids = torch.arange(2, 22).reshape(2, 10)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def outputs(module: nn.Module, feeds: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        result = module(**feeds)
    return result if isinstance(result, torch.Tensor) else result[0]


def check_against_peft(module: nn.Module, trained: Any, result: MergeResult) -> float:
    """Compare parameters with merge_and_unload's, outputs with the adapter's own; returns the largest gap."""
    feeds = inputs(module)
    unmerged = outputs(trained, feeds)
    expected = dict(trained.merge_and_unload().state_dict())
    got = dict(result.module.state_dict())
    assert expected.keys() == got.keys()
    gap = max(float((got[name] - expected[name]).abs().max()) for name in expected)
    assert gap <= TOLERANCE
    torch.testing.assert_close(outputs(result.module, feeds), unmerged, rtol=1e-5, atol=1e-5)
    return gap


def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, path / "adapter_model.safetensors")
