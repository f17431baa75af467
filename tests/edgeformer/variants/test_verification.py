"""How alike two lists of outputs are, row by row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.model.signature import Signature
from edgeformer.variants.verification import _equal_shapes, cosine, vector_cosine
from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.variants.self_check import similarities


def rows(array):
    return [{"logits": row.astype(np.float32)} for row in np.atleast_2d(array)]


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 8))
def test_rows_of_one_length_have_their_cosine(seed, width, count):
    rng = np.random.default_rng(seed)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.standard_normal((2, count, width)))
    found = similarities(rows(a), rows(b))
    np.testing.assert_allclose(found, [cosine(x, y) for x, y in zip(rows(a), rows(b), strict=True)], atol=1e-5)


def test_a_row_near_zero_is_measured_against_the_usual_length():
    expected = rows(np.array([[2.0, -2.0], [-3.0, 3.0], [0.001, -0.001]]))
    flipped = rows(np.array([[2.0, -2.0], [-3.0, 3.0], [-0.001, 0.001]]))
    assert cosine(flipped[2], expected[2]) < -0.99
    assert min(similarities(flipped, expected)) > 0.999


def test_a_usual_row_that_flips_is_seen():
    expected = rows(np.array([[2.0, -2.0], [-3.0, 3.0], [0.001, -0.001]]))
    flipped = rows(np.array([[-2.0, 2.0], [-3.0, 3.0], [0.001, -0.001]]))
    assert min(similarities(flipped, expected)) < -0.9


def test_a_length_that_changes_is_seen_where_a_cosine_is_not():
    expected, doubled = rows(np.array([[1.0, 0.0]])), rows(np.array([[2.0, 0.0]]))
    assert cosine(doubled[0], expected[0]) == 1.0
    assert similarities(doubled, expected)[0] == 0.75


def test_what_is_not_finite_is_unlike_anything():
    assert similarities(rows(np.array([[np.nan, 1.0]])), rows(np.array([[1.0, 1.0]]))) == [-1.0]


def test_equal_zeros_are_alike():
    assert similarities(rows(np.zeros((1, 2))), rows(np.zeros((1, 2)))) == [1.0]


def test_torch_takes_fewer_long_rows_at_once():
    mask = TensorSpec("attention_mask", "int64", ("batch", "sequence"), role="mask")
    text = Signature(TaskSpec("text-classification", ("a", "b")), (mask,), ())
    feeds = [
        {"attention_mask": np.ones((1, length), np.int64)} for length in (2048, 8, 1024, 8, 1024, 1024, 1024, 1024)
    ]
    groups = _equal_shapes(text, feeds)
    assert sorted(groups) == [[0], [1, 3], [2, 4, 5, 6], [7]]
    assert [
        len(group) for group in _equal_shapes(Signature(TaskSpec("tensors"), (), ()), [{"x": np.zeros((1, 4096))}] * 20)
    ] == [16, 4]


def test_cosine_of_what_is_not_finite_is_the_worst():
    good, bad = {"y": np.ones(3, np.float32)}, {"y": np.array([1, np.nan, 1], np.float32)}
    assert cosine(bad, good) == -1.0
    assert vector_cosine(np.zeros(3), np.zeros(3)) == 1.0
    assert vector_cosine(np.zeros(3), np.ones(3)) == 0.0
