from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.tasks.feature_extraction import FeatureExtraction

TASK = FeatureExtraction(TaskSpec("feature-extraction"), ("embedding",))


def test_a_vector():
    vector = TASK.predict({"embedding": np.ones((1, 4))}, Encoded({}, 3))
    assert vector.embedding.dtype == np.float32
    assert vector.to_dict() == {"tokens": 3, "truncated": False, "tokens_cut": None, "embedding": [1, 1, 1, 1]}
    assert vector.summary() == "[1.0000 1.0000 1.0000 1.0000 …] 4 dimensions"


def test_what_is_no_vector():
    with pytest.raises(RuntimeBundleError):
        TASK.predict({"embedding": np.ones((1, 2, 4))}, Encoded({}))
