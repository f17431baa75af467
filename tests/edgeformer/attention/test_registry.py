"""The way from a transformers model to LocalAttention: layers with a window, layers without, and who is refused."""

import copy

import pytest
import torch

from edgeformer.attention import IMPLEMENTATION, install, is_local
from edgeformer.attention.registry import attend, kept_keys, padding_mask
from edgeformer.errors import InputError, ModelError
from edgeformer.loading.load import load_model
from edgeformer.tasks.masks import additive_mask
from edgeformer_converters.ops import LocalAttention, LocalPattern

FIRST = "bert.encoder.layer.0.attention.self"


@pytest.fixture
def module(tiny_model):
    return load_model(tiny_model).module


def window(heads=4, radius=2):
    return LocalAttention(LocalPattern.radius(radius), heads=heads, kv_heads=heads, head_dim=8, scale=8**-0.5)


def inputs():
    ids = torch.arange(24).reshape(2, 12) % 20 + 4
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    return ids, mask


def test_layers_without_a_window_are_transformers_eager_attention(module):
    other = copy.deepcopy(module)
    install(other, {})
    assert other.config._attn_implementation == IMPLEMENTATION
    ids, mask = inputs()
    for given in (additive_mask(mask), mask, None):
        with torch.no_grad():
            expected = module(input_ids=ids, attention_mask=given).logits
            mine = other(input_ids=ids, attention_mask=given).logits
        torch.testing.assert_close(mine, expected, atol=1e-6, rtol=0)


def test_only_the_named_layer_gets_the_window(module):
    other = copy.deepcopy(module)
    install(other, {FIRST: window()})
    assert is_local(other.get_submodule(FIRST))
    assert not is_local(other.get_submodule(FIRST.replace(".0.", ".1.")))
    assert not is_local(module.get_submodule(FIRST))
    ids, mask = inputs()
    with torch.no_grad():
        expected = module(input_ids=ids, attention_mask=mask).logits
        assert (other(input_ids=ids, attention_mask=mask).logits - expected).abs().max() > 1e-3


def test_a_copy_of_a_local_model_is_local_too(module):
    install(module, {FIRST: window()})
    other = copy.deepcopy(module)
    ids, mask = inputs()
    with torch.no_grad():
        assert torch.equal(
            other(input_ids=ids, attention_mask=mask).logits, module(input_ids=ids, attention_mask=mask).logits
        )


def test_a_second_window_is_refused(module):
    install(module, {FIRST: window()})
    with pytest.raises(ModelError, match="local already"):
        install(module, {FIRST: window()})


def test_modules_without_transformers_registry_are_refused():
    with pytest.raises(ModelError, match="registry"):
        install(torch.nn.Linear(2, 2), {})


def test_a_causal_layer_without_a_window_stays_causal():
    layer = torch.nn.Module()
    layer.is_causal = True
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 6, 4, generator=generator) for _ in range(3))
    mine, _ = attend(layer, query, key, value, None, scaling=0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(mine.transpose(1, 2), expected, atol=1e-6, rtol=0)


def test_masks():
    _, mask = inputs()
    assert torch.equal(kept_keys(additive_mask(mask)), mask > 0)
    assert torch.equal(padding_mask(2, 12, attention_mask=mask > 0), additive_mask(mask))
    assert kept_keys(None) is None
    assert padding_mask(2, 12) is None
    with pytest.raises(InputError, match=r"expected \[batch, 1, 1, sequence\]"):
        kept_keys(mask)
