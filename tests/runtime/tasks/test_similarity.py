import numpy as np
import pytest

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.tasks.similarity import similarity

A, B = np.array([3.0, 4.0], np.float32), np.array([0.0, 2.0], np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, 0.8), ("cosine", 0.8), ("dot", 8), ("euclidean", -np.sqrt(13)), ("manhattan", -5)],
)
def test_similarity(name, expected):
    assert similarity(A, B, name) == pytest.approx(expected)
    assert similarity(A, B, name) < similarity(A, A, name)


def test_vectors_without_length_or_number():
    assert similarity(A, np.zeros(2)) == 0
    assert similarity(A, np.array([1, np.nan]), "dot") == -np.inf
    with pytest.raises(InputError, match="'hamming': expected one of cosine, dot"):
        similarity(A, B, "hamming")
