from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime import Session
from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.preprocess.text import EncodedText
from edgeformer_runtime.tasks.token_classification import TokenClassificationTask

LABELS = ("O", "B-PER", "I-PER", "B-LOC")
TASK = TokenClassificationTask(TaskSpec("token-classification", LABELS), ("logits",))
TEXT = "ann lee bob in rome"
ROW = EncodedText(
    {},
    8,
    offsets=((0, 0), (0, 3), (4, 7), (8, 11), (12, 14), (15, 18), (18, 19), (0, 0)),
    words=(None, 0, 1, 2, 3, 4, 4, None),
    texts=(None, 0, 0, 0, 0, 0, 0, None),
    source=(TEXT, None),
)


def logits(tags):
    return {"logits": np.eye(4)[tags][np.newaxis] * 20}


def test_entities_merge_runs_and_split_at_b():
    # special, ann, lee, bob, in, rom, ##e (not asked), special
    result = TASK.predict(logits([0, 1, 2, 1, 0, 3, 3, 0]), ROW)
    assert [(item.label, item.text) for item in result.entities] == [
        ("PER", "ann lee"),
        ("PER", "bob"),
        ("LOC", "rome"),
    ]
    assert all(item.text == TEXT[item.start : item.end] and item.score > 0.99 for item in result.entities)
    assert result.summary().startswith("PER=ann lee (1.000); PER=bob")


def test_no_entity():
    assert TASK.predict(logits([0] * 8), ROW).summary() == "-"


def test_what_does_not_fit():
    with pytest.raises(RuntimeBundleError, match="4 labels and 3 dimensions"):
        TASK.predict({"logits": np.ones((1, 8, 3))}, ROW)
    with pytest.raises(InputError, match="needs a text"):
        TASK.predict(logits([0] * 8), Encoded({}))


@pytest.mark.parametrize("prompt", [None, "people", ""])
def test_a_prompt_is_part_of_no_entity(make_bundle, prompt):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tokenizers")
    bundle = make_bundle("tokens", prompts={"people": "Ann, Rome: "}, default_prompt="people")
    with Session.open(bundle) as session:
        (found,) = session.predict(["Ann lives in Rome."], prompt)
    assert [(item.text, item.start, item.end) for item in found.entities] == [("Ann", 0, 3), ("Rome", 13, 17)]
