import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.evaluation.correlation import pearson, spearman
from edgeformer.evaluation.paired import paired_drop_interval


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=40))
def test_spearman_equals_scipy(pairs):
    from scipy import stats

    first, second = zip(*pairs, strict=True)
    if len(set(first)) == 1 or len(set(second)) == 1:
        return
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)


def test_paired_interval_is_narrower_than_two_unpaired():
    before, after = [1.0] * 95 + [0.0] * 5, [1.0] * 94 + [0.0] * 6
    low, high = paired_drop_interval(before, after)
    assert low < 0.01 < high
    unpaired = 2 * 1.96 * (0.95 * 0.05 / 100 + 0.94 * 0.06 / 100) ** 0.5
    assert high - low < 0.7 * unpaired


def test_what_does_not_vary_correlates_with_nothing():
    assert pearson([1, 1, 1], [1, 2, 3]) == 0.0
    assert spearman([1, 2, 3], [5, 5, 5]) == 0.0
