"""Least squares against numpy's, and the promise that it never makes things worse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer.data.batching import padded_batches
from edgeformer.families import architecture_for
from edgeformer.pruning.blockwise import prune_and_reconstruct
from edgeformer.pruning.reconstruct import Moments, reconstruct
from edgeformer.pruning.surgery import prune_block
from edgeformer.pruning.units import Kept, prunable_blocks


def correlated(rng, rows, columns):
    return (rng.standard_normal((rows, columns)) @ rng.standard_normal((columns, columns)) + 0.5).astype(np.float32)


def moments_of(x):
    moments = Moments()
    for part in np.array_split(x, 3):
        moments.add(torch.from_numpy(part))
    return moments


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), kept=st.sets(st.integers(0, 11), min_size=1, max_size=11), bias=st.booleans())
def test_equals_lstsq_without_damping(seed, kept, bias):
    rng = np.random.default_rng(seed)
    x, w, b = correlated(rng, 400, 12), rng.standard_normal((5, 12)), rng.standard_normal(5)
    columns = sorted(kept)
    made = reconstruct(torch.tensor(w), torch.tensor(b) if bias else None, moments_of(x), columns, damping=1e-10)
    x = x.astype(float)
    y = x @ w.T + (b if bias else 0)
    design = np.hstack([x[:, columns], np.ones((400, 1))]) if bias else x[:, columns]
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    expected = ((y - design @ solution) ** 2).sum()
    found = y - x[:, columns] @ made.weight.numpy().T - (made.bias.numpy() if bias else 0)
    assert (found**2).sum() == pytest.approx(expected, rel=1e-3, abs=1e-3)
    np.testing.assert_allclose(made.weight.numpy(), solution[: len(columns)].T, atol=2e-3)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 60),
    damping=st.floats(1e-4, 10),
    kept=st.sets(st.integers(0, 19), min_size=1),
)
def test_never_worse_than_plain_removal_however_few_the_rows(seed, rows, damping, kept):
    rng = np.random.default_rng(seed)
    x, w, b = correlated(rng, rows, 20), rng.standard_normal((5, 20)), rng.standard_normal(5)
    columns = sorted(kept)
    made = reconstruct(torch.tensor(w), torch.tensor(b), moments_of(x), columns, damping)
    y = x @ w.T + b
    plain = ((y - x[:, columns] @ w[:, columns].T - b) ** 2).sum()
    found = ((y - x[:, columns] @ made.weight.numpy().T - made.bias.numpy()) ** 2).sum()
    assert found <= plain * (1 + 1e-4) + 1e-3
    assert made.error <= made.error_removed + 1e-9
    assert np.isfinite(made.weight.numpy()).all()


def test_reported_errors_are_those_of_the_rows():
    rng = np.random.default_rng(3)
    x, w, b = correlated(rng, 200, 16), rng.standard_normal((4, 16)), rng.standard_normal(4)
    kept = [0, 3, 4, 9, 12]
    made = reconstruct(torch.tensor(w), torch.tensor(b), moments_of(x), kept)
    y = x.astype(float) @ w.T + b
    variance = ((y - y.mean(0)) ** 2).sum()
    plain = ((y - x[:, kept] @ w[:, kept].T - b) ** 2).sum() / variance
    found = ((y - x[:, kept] @ made.weight.numpy().T - made.bias.numpy()) ** 2).sum() / variance
    assert made.error_removed == pytest.approx(plain, rel=1e-3)
    assert made.error == pytest.approx(found, rel=1e-3)
    assert made.error < made.error_removed


def test_inputs_that_copy_others_cost_nothing():
    rng = np.random.default_rng(4)
    half = correlated(rng, 300, 6)
    made = reconstruct(
        torch.randn(3, 12, dtype=torch.float64), torch.zeros(3), moments_of(np.hstack([half, half])), range(6), 1e-9
    )
    assert made.error < 1e-6 < made.error_removed


@pytest.mark.parametrize("name", ["bert", "distilbert", "mpnet"])
def test_blockwise_repair_brings_the_outputs_closer(family, rows, name):
    model, samples = family(name), rows(family(name), 64)
    architecture = architecture_for(name)
    blocks = prunable_blocks(model)
    heads = (0, 1, 2, 3) if name == "mpnet" else (0, 2, 3)
    kept = [Kept(heads, tuple(range(0, 48, 2)))] * 3
    batches = padded_batches(model, samples)
    before = model.digest()
    tensors, errors = prune_and_reconstruct(model, blocks, architecture, kept, batches)
    assert model.digest() == before
    plain = model.copy_module()
    for block, keep in zip(blocks, kept, strict=True):
        prune_block(plain, block, architecture, keep)
    repaired = model.with_module(plain).copy_module()
    missing = repaired.load_state_dict(tensors, strict=False)
    assert not missing.unexpected_keys

    def logits(module):
        with torch.no_grad():
            run = model.with_module(module).callable_module()
            return torch.cat([run(*batch.tensors)[0] for batch in batches])

    dense = logits(model.module)
    assert (logits(repaired) - dense).square().mean() < 0.8 * (logits(plain) - dense).square().mean()
    assert all(half["error"] <= half["error_removed"] for block in errors for half in block.values())
    assert all(
        set(block) == ({"feed_forward"} if name == "mpnet" else {"attention", "feed_forward"}) for block in errors
    )


def test_blockwise_states_are_those_of_the_whole_model(family, rows):
    """The last block's moments, block by block, against hooks in the whole pruned model."""
    from edgeformer.probing.activations import input_statistics
    from edgeformer.pruning import blockwise

    model = family("bert")
    blocks = prunable_blocks(model)
    batches = padded_batches(model, rows(model, 16))
    calls = blockwise._first_calls(model, blocks[0], batches)
    for block in blocks[:2]:
        blockwise._advance(model.module.get_submodule(block.path), calls)
    down = blocks[2].down
    moments = blockwise._moments(
        model.module.get_submodule(blocks[2].path), model.module.get_submodule(down), down, calls
    )
    whole = input_statistics(model, batches, [down], gram=True)[down]
    assert moments.count == whole.count
    torch.testing.assert_close(moments.gram, whole.gram)
    torch.testing.assert_close(moments.mean, whole.mean)
