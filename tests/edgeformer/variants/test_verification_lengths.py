"""Which attention the reference has for a variant that pads texts to lengths of its own."""

import numpy as np
import pytest
import torch

from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext
from edgeformer.passes.local_attention import LocalAttend
from edgeformer.variants.verification import decisive_length, run_torch, run_torch_as
from edgeformer_converters.ops import LocalAttention
from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.bundle.needs import FullAttention

LENGTHS = (6, 20, 40)  # of the texts; attention is full below 24


def entry(decided_by, lengths=()):
    rule = None if decided_by is None else FullAttention((24,), decided_by)
    return VariantEntry(
        "v",
        "tflite",
        "litert",
        one_graph("m"),
        1,
        lengths={"sequence": lengths} if lengths else {},
        full_attention=rule,
    )


@pytest.fixture(scope="module")
def model(tiny_model):
    return LocalAttend(radius=2, dense_below=24).run(load_model(tiny_model), PassContext()).model


@pytest.fixture(scope="module")
def feeds():
    rng = np.random.default_rng(0)
    return [{"input_ids": rng.integers(1, 20, (1, n)), "attention_mask": np.ones((1, n), np.int64)} for n in LENGTHS]


def padded_to(feed, length):
    tail = ((0, 0), (0, length - feed["input_ids"].shape[1]))
    return {name: np.pad(array, tail) for name, array in feed.items()}


def test_whose_length_decides():
    assert decisive_length(entry(None), 10) is None
    assert decisive_length(entry("input"), 10) is None
    assert decisive_length(entry("signature", (16, 64)), 10) == 16
    assert decisive_length(entry("signature", (16, 64)), 17) == 64
    assert decisive_length(entry(64), 10) == 64


@pytest.mark.parametrize(
    ("variant", "lengths"), [(entry("signature", (8, 48)), (8, 48, 48)), (entry(48), (48, 48, 48))]
)
def test_the_reference_is_the_model_at_the_padded_length(model, feeds, variant, lengths):
    known = run_torch(model, feeds)
    found = run_torch_as(model, variant, feeds, known)
    padded = run_torch(model, [padded_to(feed, length) for feed, length in zip(feeds, lengths, strict=True)])
    for index, expected in enumerate(padded):
        np.testing.assert_allclose(found[index]["logits"], expected["logits"], atol=1e-5)
    assert np.abs(found[1]["logits"] - known[1]["logits"]).max() > 1e-4  # 20 tokens: full by itself, local at 48
    assert found[2] is known[2]  # local either way: not computed again
    layers = [part for part in model.module.modules() if isinstance(part, LocalAttention)]
    assert all(layer.ruled_at is None for layer in layers)


def test_a_variant_that_runs_any_length_has_the_model_itself(model, feeds):
    known = run_torch(model, feeds)
    found = run_torch_as(model, entry("input"), feeds, known)
    assert all(a is b for a, b in zip(found, known, strict=True))
    assert torch.equal(
        torch.tensor(run_torch_as(model, entry(None), feeds)[0]["logits"]), torch.tensor(known[0]["logits"])
    )
