"""Order of rows and learning rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.training.schedule import epoch_batches, learning_rate_factor


@given(
    lengths=st.lists(st.integers(2, 128), min_size=1, max_size=300), size=st.integers(1, 40), seed=st.integers(0, 99)
)
def test_every_row_once_an_epoch(lengths, size, seed):
    batches = epoch_batches(lengths, size, seed, 1)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)
    assert batches == epoch_batches(lengths, size, seed, 1)


def test_another_epoch_or_seed_is_another_order():
    lengths = [10] * 200
    orders = [epoch_batches(lengths, 8, seed, epoch) for seed, epoch in ((0, 1), (0, 2), (1, 1))]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_batches_hold_rows_of_like_length():
    lengths = [(index * 37) % 120 + 2 for index in range(512)]
    positions = sum(len(batch) * max(lengths[index] for index in batch) for batch in epoch_batches(lengths, 32, 0, 1))
    assert positions < 1.1 * sum(lengths)


@pytest.mark.parametrize(
    ("share", "factor"), [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0), (1.2, 0.0)]
)
def test_learning_rate(share, factor):
    assert learning_rate_factor(share, 0.1) == pytest.approx(factor)


def test_without_warmup_it_starts_at_its_peak():
    assert learning_rate_factor(0.0, 0.0) == 1.0
