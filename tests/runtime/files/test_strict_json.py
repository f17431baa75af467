from __future__ import annotations

import time

import pytest

from edgeformer_runtime.errors import RuntimeBundleError
from edgeformer_runtime.files import strict_json
from edgeformer_runtime.files.strict_json import MAX_VALUES, read_json


@pytest.mark.parametrize("text", ['{"a": [1, -2.5, null, true, "\\u00e9"]}', b"[]", '"x"', "9223372036854775807"])
def test_plain_json_is_read(text):
    read_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 1}', "occurs twice"),
        ("[NaN]", "not a JSON number"),
        ("[1e400]", "beyond the range"),
        ("[" + "1" * 20 + "]", "integer of 20 digits"),
        ("[" * 65 + "]" * 65, "nested too deeply"),
        ("[" * 150_000, "nested too deeply|not JSON"),
        ("[" + "0," * MAX_VALUES + "0]", "values: expected at most"),
        ('"\\ud800"', "not valid Unicode"),
        ('{"\\ud800": 1}', "not valid Unicode"),
        (b"\xff", "not JSON"),
        ("", "not JSON"),
        ("[1] x", "not JSON"),
        ("[1" + " " * 200 + "]", "has 203 bytes: expected at most 100"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_ambiguous_or_endless_is_refused_by_name(text, message):
    limit = {"max_bytes": 100} if "203" in message else {}
    with pytest.raises(RuntimeBundleError, match=message) as caught:
        read_json(text, "some.json", **limit)
    assert str(caught.value).startswith("some.json")


def test_pythons_own_parser_never_sees_deep_nesting(monkeypatch):
    # It recurses, and Python 3.8 has aborted in it: once in some runs, so the abort itself is no test.
    monkeypatch.setattr(strict_json.json, "loads", lambda *_, **__: pytest.fail("parsed"))
    for text in ("[" * 65, "[" * 150_000, '{"a":' * 65 + "1" + "}" * 65, "[]," * 40 + "[" * 65):
        with pytest.raises(RuntimeBundleError, match="nested too deeply"):
            read_json(text)


def test_the_largest_allowed_ones_take_little_time():
    start = time.process_time()
    read_json("[" + "[]," * (MAX_VALUES // 2 - 2) + "[]]")
    read_json('"' + "\u00e9" * (4 << 20) + '"')
    assert time.process_time() - start < 50
