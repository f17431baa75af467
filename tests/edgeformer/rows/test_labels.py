import pytest

from edgeformer.errors import SamplesError
from edgeformer.rows.labels import decide, read_cell
from edgeformer_runtime.bundle.manifest import TaskSpec

NAMES = ("sport", "money", "tech")
ONE = TaskSpec("text-classification", NAMES)
SEVERAL = TaskSpec("text-classification", NAMES, multi_label=True)
TWO = TaskSpec("text-classification", ("a", "b"), multi_label=True)


def decided(task, *values, stated=None):
    cells = [read_cell(value, task, "rows", f"row {number}") for number, value in enumerate(values, start=1)]
    return decide(cells, task, "label", stated, "rows")


@pytest.mark.parametrize(
    ("task", "values", "meaning", "targets"),
    [
        (ONE, [0, 2], "ids", [0, 2]),
        (ONE, ["0", "2"], "ids", [0, 2]),
        (ONE, [0.0, "2.0"], "ids", [0, 2]),
        (ONE, ["sport", " tech "], "names", [0, 2]),
        (ONE, [["sport"], ["tech"]], "names", [0, 2]),
        (ONE, [[1, 0, 0], [0, 0, 1]], "vectors", [0, 2]),
        (ONE, ["[1. 0. 0.]", "(0, 0, 1)"], "vectors", [0, 2]),
        (SEVERAL, [[0, 1, 1], [0, 0, 0]], "vectors", [[1, 2], []]),
        (SEVERAL, [[False, True, True]], "vectors", [[1, 2]]),
        (SEVERAL, ["0 1 1", "1 0 0"], "vectors", [[1, 2], [0]]),
        (SEVERAL, ["0,1,1"], "vectors", [[1, 2]]),
        (SEVERAL, [[0, 1]], "ids", [[0, 1]]),  # a vector has three numbers
        (SEVERAL, [[2, 1], []], "ids", [[1, 2], []]),
        (SEVERAL, ["2|1", "0"], "ids", [[1, 2], [0]]),
        (SEVERAL, ["tech|money", "['sport']", "money; sport"], "names", [[1, 2], [0], [0, 1]]),
        (TWO, [[1, 1], [0, 1]], "vectors", [[0, 1], [1]]),
        (TWO, [[1], [0, 1]], "ids", [[1], [0, 1]]),
        (TaskSpec("text-classification", ("0", "1")), ["0", "1"], "ids", [0, 1]),
        (TaskSpec("text-classification", ("False", "True")), [True, "False"], "names", [1, 0]),
        (TaskSpec("text-classification", ("a, b", "c"), multi_label=True), ["a, b", "a, b|c"], "names", [[0], [0, 1]]),
    ],
)
def test_one_meaning(task, values, meaning, targets):
    assert decided(task, *values) == (meaning, targets)


@pytest.mark.parametrize(
    ("task", "values", "expected"),
    [
        (ONE, ["sport", 1], r"row 1 \('sport'\) holds names, row 2 \(1\) holds ids"),
        (SEVERAL, [[0, 1, 1], [2]], r"row 1 .* holds vectors, row 2 .* holds ids"),
        (TWO, [[0, 1], [1, 0]], "row 1: .* as ids it is 'a', 'b'; as vectors it is 'b'"),
        (TaskSpec("text-classification", ("1", "0")), [0, 1], "as ids it is '1'; as names it is '0'"),
        (ONE, [True, 0], "label True is none"),
        (ONE, [1.5], "label 1.5 is no label"),
        (ONE, [3, 0], r"label 3 is none of the model's: sport, money, tech \(or an index below 3\)"),
        (ONE, [-100], "withheld"),
        (ONE, ["SPORT"], "writes it 'sport'"),
        (ONE, [["sport", "tech"]], "2 labels, and the model gives one a text"),
        (ONE, [10**400, 0], "none of the model's"),
        (ONE, [float("nan"), 0], "label nan"),
        (SEVERAL, [[0, 1, 1, 0]], "4 numbers of 0 and 1, expected 3"),
        (SEVERAL, [[0.2, 0.8, 0.0]], "soft labels"),
        (SEVERAL, [["tech", "tech"]], "named twice"),
        (SEVERAL, [[{"a": 1}]], "a label is a name or a number"),
    ],
)
def test_refused(task, values, expected):
    with pytest.raises(SamplesError, match=expected):
        decided(task, *values)


def test_a_stated_meaning_ends_a_doubt():
    task = TaskSpec("text-classification", ("1", "0"))
    assert decided(task, 0, 1, stated="ids") == ("ids", [0, 1])
    assert decided(task, 0, 1, stated="names") == ("names", [1, 0])


def test_three_rows_that_agree_in_pairs_only():
    """Each two rows share a meaning, all three none."""
    task = TaskSpec("text-classification", ("1", "0", "7"), multi_label=True)
    with pytest.raises(SamplesError, match="no one meaning"):
        decided(task, [0, 1], ["7"], [2])
