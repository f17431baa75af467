"""Families that make a pattern of their own from the mask must not lose it silently."""

import pytest
import torch

import edgeformer as ef
from edgeformer.errors import ModelError


def save(tmp_path, kind, config):
    import transformers

    torch.manual_seed(0)
    getattr(transformers, kind)(config).save_pretrained(tmp_path)
    return tmp_path


def test_a_causal_family_is_refused(tmp_path):
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, max_position_embeddings=64, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    path = save(tmp_path, "LlamaForSequenceClassification", config)
    with pytest.raises(ModelError, match=r"differs by .* a pattern of its own \(causal, or a window\)"):
        ef.load_model(path)


def test_an_encoder_passes(tiny_model):
    assert ef.load_model(tiny_model).architecture == "bert"
