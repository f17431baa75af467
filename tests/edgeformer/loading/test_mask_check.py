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


LLAMA = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 64, "initializer_range": 0.5,
}  # fmt: skip


def test_a_causal_family_keeps_its_triangle(tmp_path):
    from transformers import LlamaConfig

    path = save(tmp_path, "LlamaForSequenceClassification", LlamaConfig(**LLAMA, pad_token_id=0))
    model = ef.load_model(path)
    assert model.options.mask == "causal"


def test_what_a_family_says_when_it_does_not_run_is_passed_on(tmp_path):
    from transformers import LlamaConfig

    path = save(tmp_path, "LlamaForSequenceClassification", LlamaConfig(**LLAMA, pad_token_id=None))
    with pytest.raises(ModelError, match="batch sizes > 1 if no padding token is defined"):
        ef.load_model(path)


def test_a_family_that_makes_its_own_of_the_mask_gets_zeros_and_ones(tmp_path):
    from transformers import DebertaV2Config

    small = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    path = save(tmp_path, "DebertaV2ForSequenceClassification", DebertaV2Config(**small, relative_attention=True))
    assert ef.load_model(path).options.mask == "own"


def test_a_rewritten_part_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    """The reference is the family's forward before anything was written otherwise."""
    from transformers import DebertaV2Config

    from edgeformer.exportable import deberta

    small = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = DebertaV2Config(**small, relative_attention=True, pos_att_type=["c2p"], initializer_range=0.5)
    path = save(tmp_path, "DebertaV2ForSequenceClassification", config)
    monkeypatch.setattr(deberta, "_shifted", lambda scores: scores[..., : scores.shape[2]])
    with pytest.raises(ModelError, match="something else as it is compiled than by its own forward: mask 'own'"):
        ef.load_model(path)


def test_an_encoder_gets_a_mask_of_its_keys(tiny_model):
    assert ef.load_model(tiny_model).options.mask == "keys"
