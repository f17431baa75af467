import pytest

from edgeformer.errors import SamplesError
from edgeformer.rows.columns import Columns, choose_columns, has_second_text
from edgeformer_runtime.bundle.manifest import TaskSpec

ONE = TaskSpec("text-classification", ("sport", "tech"))
VECTORS = TaskSpec("feature-extraction")


@pytest.mark.parametrize(
    ("names", "task", "right"),
    [
        (("text", "label"), ONE, Columns("text", None, "label")),
        (("Text", " LABEL "), ONE, Columns("Text", None, " LABEL ")),
        (("idx", "premise", "hypothesis", "label"), ONE, Columns("premise", "hypothesis", "label", unused=("idx",))),
        (("question1", "question2", "label"), ONE, Columns("question1", "question2", "label")),
        (("question", "sentence", "label"), ONE, Columns("question", "sentence", "label")),
        (("text_a", "text_b", "labels"), ONE, Columns("text_a", "text_b", "labels")),
        (("text", "label", "label_text"), ONE, Columns("text", None, "label", unused=("label_text",))),
        (("text", "label_ids"), ONE, Columns("text", None, "label_ids", "ids")),
        (("tech", "text", "Sport"), ONE, Columns("text", vector=("Sport", "tech"))),
        (("sentence1", "sentence2", "score"), VECTORS, Columns("sentence1", "sentence2", "score")),
        (("text", "label"), VECTORS, Columns("text", unused=("label",))),
    ],
)
def test_chosen(names, task, right):
    assert choose_columns(names, task, "rows") == right
    assert has_second_text(names) is (right.pair is not None)


@pytest.mark.parametrize(
    ("names", "task", "expected"),
    [
        (("text", "label", "labels"), ONE, "columns 'label' and 'labels' could both be what should come out"),
        (("text", "sentence", "label"), ONE, "columns 'text' and 'sentence' could both be the text"),
        (("review", "label"), ONE, "no text: expected a column text.*found 'review', 'label'"),
        (("question", "label"), TaskSpec("question-answering"), "needs a column 'context'"),
        (("text", "a", "b"), TaskSpec("text-classification", ("a", "b", "c")), "columns for the labels a, b, but none"),
        (("text",), TaskSpec("token-classification", ("O",)), "expected a column tokens"),
    ],
)
def test_refused(names, task, expected):
    with pytest.raises(SamplesError, match=expected):
        choose_columns(names, task, "rows")
