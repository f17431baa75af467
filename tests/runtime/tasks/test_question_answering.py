from __future__ import annotations

import numpy as np
import pytest

from edgeformer_runtime import Session
from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.preprocess.text import EncodedText
from edgeformer_runtime.tasks.question_answering import QuestionAnswering

NAMES = ("start_logits", "end_logits")


def answer(start, end, row, **numbers):
    outputs = {"start_logits": np.asarray(start), "end_logits": np.asarray(end)}
    return QuestionAnswering(TaskSpec("question-answering", **numbers), NAMES).predict(outputs, row)


def encoded(offsets, texts, context):
    return EncodedText({}, len(offsets), offsets=tuple(offsets), texts=tuple(texts), source=("why", context))


def test_an_answer_stays_in_the_context_and_in_order():
    offsets = [(0, 0), (0, 3), (0, 0), (0, 4), (5, 9), (10, 14), (0, 0)]
    row = encoded(offsets, [None, 0, None, 1, 1, 1, None], "aaaa bbbb cccc")
    result = answer([[9, 9, 9, 0, 0, 5, 9.0]], [[9, 9, 9, 4, 3, 0, 9.0]], row)
    assert result.text == "cccc"  # the best end lies before the best start, which no span may have
    assert 0 < result.score < 1
    assert result.summary() == f"cccc {result.score:.4f}"


@pytest.mark.parametrize(("numbers", "longest"), [({}, 30), ({"longest_answer": 5}, 5)])
def test_an_answer_has_a_longest_length(numbers, longest):
    count = 50
    row = encoded([(index, index + 1) for index in range(count)], [1] * count, "x" * count)
    start, end = np.zeros((1, count)), np.zeros((1, count))
    start[0, 0], end[0, -1], end[0, longest - 1] = 9, 9, 3
    result = answer(start, end, row, **numbers)
    assert (result.start, result.end) == (0, longest)


def test_no_context_no_answer():
    result = answer([[0.0]], [[0.0]], encoded([(0, 0)], [None], ""))
    assert (result.text, result.score) == ("", 0.0)


def test_what_does_not_fit():
    with pytest.raises(RuntimeBundleError, match="expected 2 outputs, got 1"):
        QuestionAnswering(TaskSpec("question-answering"), ("logits",))
    with pytest.raises(RuntimeBundleError, match=r"of shape \[1, 1\]"):
        answer([[0.0, 1.0]], [[0.0, 1.0]], encoded([(0, 1)], [1], "x"))


def test_a_prompt_moves_no_answer(make_bundle):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tokenizers")
    bundle = make_bundle("answers", prompts={"ask": "good: "}, max_length=24)
    with Session.open(bundle) as session:
        plain, prompted = (
            session.predict([("Ann lives in", "Ann lives in Rome.")], prompt)[0] for prompt in (None, "ask")
        )
    assert (prompted.text, prompted.start, prompted.end) == (plain.text, plain.start, plain.end)
    assert prompted.text == "Ann lives in Rome"[prompted.start : prompted.end] != ""
