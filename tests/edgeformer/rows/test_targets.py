import pytest

from edgeformer.errors import SamplesError
from edgeformer.rows.targets import answers, check_text, number


@pytest.mark.parametrize(("value", "right"), [("0.5", 0.5), (3, 3.0), (" 2 ", 2.0), ("", None), (None, None)])
def test_numbers(value, right):
    assert number(value, "score", "rows, line 2") == right


@pytest.mark.parametrize("value", ["nan", float("inf"), "1,5", True, [1], "9" * 400, 10**400, {}])
def test_no_numbers(value):
    with pytest.raises(SamplesError, match="rows, line 2: score: expected a"):
        number(value, "score", "rows, line 2")


def test_answers_as_squad_has_them():
    assert answers({"text": ["a", "b"], "answer_start": [0, 1]}, "answers", "rows") == ["a", "b"]
    assert answers("a", "answers", "rows") == ["a"]
    assert answers([], "answers", "rows") == []
    with pytest.raises(SamplesError, match="expected a list of strings"):
        answers({"start": 1}, "answers", "rows")


def test_half_a_pair_is_no_character():
    with pytest.raises(SamplesError, match="surrogate"):
        check_text("a \ud800", "text", "rows")
