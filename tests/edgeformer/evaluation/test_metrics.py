import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.evaluation.correlation import spearman
from edgeformer.evaluation.paired import paired_drop_interval, wilson_interval
from edgeformer.tasks import get_task
from edgeformer.variants.verification import cosine, vector_cosine
from edgeformer_runtime.bundle.manifest import TaskSpec

NEWS = TaskSpec("text-classification", ("a", "b", "c"))


def logits(*rows):
    return [{"logits": np.asarray(row, np.float32)} for row in rows]


def test_accuracy_and_agreement():
    first, second = logits([3, 1, 0], [0, 2, 1], [0, 1, 9]), logits([3, 1, 0], [5, 2, 1], [0, 1, 9])
    assert get_task(NEWS).metric(first, [0, 1, 0]).value == pytest.approx(2 / 3)
    assert get_task(NEWS).agreement(first, second) == pytest.approx(2 / 3)


def test_tokens_ignore_unlabelled_positions():
    task = TaskSpec("token-classification", ("O", "X"))
    found = get_task(task).metric(logits([[9, 0], [0, 9], [9, 0]]), [[-1, 1, 1]])
    assert found.value == 0.5


def test_embeddings_agree_by_nearest_neighbour():
    task = TaskSpec("feature-extraction")
    rows = [{"embedding": np.asarray(v, np.float32)} for v in ([1, 0], [0.9, 0.1], [0, 1])]
    assert get_task(task).agreement(rows, rows) == 1.0


def test_answer_overlap():
    task = TaskSpec("question-answering")
    row = {"start_logits": np.eye(6, dtype=np.float32)[1], "end_logits": np.eye(6, dtype=np.float32)[2]}
    assert get_task(task).metric([row], [[(1, 2)]]).value == 1.0
    assert get_task(task).metric([row], [[(2, 3), (4, 5)]]).value == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=40))
def test_spearman_equals_scipy(pairs):
    from scipy import stats

    first, second = zip(*pairs, strict=True)
    if len(set(first)) == 1 or len(set(second)) == 1:
        return
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)


@given(st.integers(1, 500), st.data())
def test_wilson_equals_scipy(count, data):
    from scipy import stats

    hits = data.draw(st.integers(0, count))
    expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson_interval(hits, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_paired_interval_is_narrower_than_two_unpaired():
    before, after = [1.0] * 95 + [0.0] * 5, [1.0] * 94 + [0.0] * 6
    low, high = paired_drop_interval(before, after)
    assert low < 0.01 < high
    unpaired = 2 * 1.96 * (0.95 * 0.05 / 100 + 0.94 * 0.06 / 100) ** 0.5
    assert high - low < 0.7 * unpaired


def test_cosine_of_what_is_not_finite_is_the_worst():
    good, bad = {"y": np.ones(3, np.float32)}, {"y": np.array([1, np.nan, 1], np.float32)}
    assert cosine(bad, good) == -1.0
    assert vector_cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert vector_cosine(np.zeros(3), np.ones(3)) == 0.0
