"""What is said of each method of peft, against what peft itself can do with it."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from edgeformer.errors import AdapterError
from edgeformer.lora import read_adapter
from edgeformer.lora.methods import refuse_method

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings("ignore")

TARGETS = {"target_modules": ["query", "value"]}
TOKENS = {"num_virtual_tokens": 4}
SETTINGS: dict[str, dict[str, Any]] = {  # where the defaults don't suit a BERT of 64 numbers
    "CARTRIDGE": TOKENS, "C3A": {**TARGETS, "block_size": 16},
    "FOURIERFT": {**TARGETS, "n_frequency": 10}, "IA3": {**TARGETS, "feedforward_modules": []},
    "LN_TUNING": {"target_modules": ["LayerNorm"]},
    "MISS": {**TARGETS, "r": 8}, "OFT": {**TARGETS, "oft_block_size": 4, "r": 0}, "P_TUNING": TOKENS,
    "PREFIX_TUNING": TOKENS, "PROMPT_TUNING": TOKENS, "PSOFT": {**TARGETS, "r": 8}, "SHIRA": {**TARGETS, "r": 4},
    "TRAINABLE_TOKENS": {"target_modules": ["word_embeddings"], "token_indices": [3]},
    "VBLORA": {**TARGETS, "vector_length": 4, "num_vectors": 8}, "WAVEFT": {**TARGETS, "n_frequency": 10},
}  # fmt: skip
NOT_FOR_BERT = {  # they want a model that generates, ids of tasks beside the text, or adapters made before
    "ADAPTION_PROMPT", "CPT", "MULTITASK_PROMPT_TUNING", "POLY", "SHADOW", "XLORA",
}  # fmt: skip
METHODS = sorted(kind.value for kind in peft.mapping.PEFT_TYPE_TO_TUNER_MAPPING)


def make(kind: str) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    base = BertForSequenceClassification(BertConfig(**sizes, vocab_size=40, max_position_embeddings=24)).eval()
    config = peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType(kind)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(copy.deepcopy(base), config(task_type="SEQ_CLS", **SETTINGS.get(kind, TARGETS)))
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return model.eval()


def said(kind: Any) -> str:
    with pytest.raises(AdapterError) as error:
        refuse_method(kind)
    return str(error.value)


# BOFT compiles an extension when it is made, which ends in setuptools wherever distutils was imported before.
APART = {"LORA", "ADALORA", "BOFT", *NOT_FOR_BERT}


@pytest.mark.parametrize("kind", [kind for kind in METHODS if kind not in APART])
def test_peft_merges_what_is_said_to_be_mergeable(kind: str, tmp_path: Path) -> None:
    model = make(kind)
    model.save_pretrained(tmp_path)
    with pytest.raises(AdapterError, match=f"peft_type is '{kind}': ") as error:
        read_adapter(tmp_path)
    ids = torch.arange(2, 22).reshape(2, 10)
    feeds = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        before = model(**feeds).logits
        try:
            after = model.merge_and_unload()(**feeds).logits
        except (AttributeError, NotImplementedError):
            after = None
    merges = after is not None and torch.allclose(before, after, atol=1e-4)
    assert ("Merge it with peft first" in str(error.value)) == merges


@pytest.mark.parametrize("kind", sorted(NOT_FOR_BERT))
def test_the_others_are_said_not_to_be(kind: str) -> None:
    assert "Merge it with peft first" not in said(kind)


def test_lora_and_what_is_no_method() -> None:
    refuse_method("LORA")
    for kind in (None, 3, ["LORA"]):
        assert "is this a config that peft wrote?" in said(kind)
    assert "Merge it with peft first" in said("FROM_THE_FUTURE")
