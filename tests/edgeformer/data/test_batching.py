"""Padding must change nothing; every row must come exactly once."""

import numpy as np
import pytest
import torch

import edgeformer as ef
from edgeformer.data.batching import padded_batches
from edgeformer.data.synthetic import synthetic
from edgeformer.variants.verification import run_torch


def test_padded_rows_give_what_rows_alone_give(tiny_model):
    model = ef.load_model(tiny_model)
    rows = synthetic(model.signature, 40)
    expected = run_torch(model, rows.feeds)
    module = model.callable_module()
    seen = []
    for batch in padded_batches(model, rows, size=5):
        with torch.inference_mode():
            (logits,) = module(*batch.tensors)
        assert batch.real.sum() == sum(rows.feeds[i]["input_ids"].size for i in batch.indices)
        for row, index in enumerate(batch.indices):
            np.testing.assert_allclose(logits[row].numpy(), expected[index]["logits"], atol=1e-5)
        seen += batch.indices
    assert sorted(seen) == list(range(len(rows.feeds)))


def test_tensors_are_grouped_by_shape_and_never_padded():
    module = torch.nn.Linear(4, 2)
    model = ef.from_module(module, {"x": torch.randn(2, 4)})
    rows = synthetic(model.signature, 1)
    batches = padded_batches(model, rows, size=7)
    assert all(batch.real is None for batch in batches)
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(rows.feeds)))
    assert max(batch.tensors[0].shape[0] for batch in batches) == 7


@pytest.mark.parametrize("size", [1, 3, 64])
def test_little_is_padded(tiny_model, size):
    model = ef.load_model(tiny_model)
    rows = synthetic(model.signature, 40)
    positions = sum(batch.tensors[0].numel() for batch in padded_batches(model, rows, size))
    assert positions <= (1 if size == 1 else 2) * sum(row["input_ids"].size for row in rows.feeds)


def test_long_rows_come_in_smaller_batches(tiny_model, monkeypatch):
    model = ef.load_model(tiny_model)
    rows = synthetic(model.signature, 40)
    monkeypatch.setattr("edgeformer.data.batching._MAX_PAIRS", 3 * 30 * 30)
    batches = padded_batches(model, rows, size=8)
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(rows.feeds)))
    shapes = [tuple(batch.tensors[0].shape) for batch in batches]
    assert all(count == 1 or count * longest**2 <= 3 * 30 * 30 for count, longest in shapes)
    assert max(count for count, _ in shapes) == 8
    assert all(count <= 3 for count, longest in shapes if longest >= 30)
