# ruff: noqa: UP006, UP045 - the hints are read when the tests run, on Python 3.8 too
from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Mapping, Optional, Tuple

import pytest

from edgeformer_runtime.files.typed_json import DecodeError, decode


@dataclass(frozen=True)
class Inner:
    name: str
    share: Optional[float] = None


@dataclass(frozen=True)
class Outer:
    count: int
    flag: bool
    inner: Inner
    many: Tuple[Inner, ...] = ()
    pair: Optional[Tuple[float, float]] = None
    table: Mapping[str, Optional[float]] = field(default_factory=dict)


WHOLE = Outer(3, True, Inner("a", 0.5), (Inner("b"),), (1.0, 2.0), {"x": 1.0, "y": None})


def test_round_trip():
    assert decode(Outer, asdict(WHOLE), "it") == WHOLE
    assert decode(Outer, {"count": 1, "flag": False, "inner": {"name": "n"}}, "it") == Outer(1, False, Inner("n"))
    assert decode(Inner, {"name": "n", "share": 1}, "it").share == 1.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"count": "3"}, r"it\.count: expected int, got '3'"),
        ({"count": True}, r"it\.count"),
        ({"count": 3.0}, r"it\.count"),
        ({"flag": 1}, r"it\.flag"),
        ({"inner": None}, r"it\.inner: expected an object"),
        ({"inner": {"name": None}}, r"it\.inner\.name"),
        ({"inner": {"name": "a", "share": float("nan")}}, r"it\.inner\.share"),
        ({"inner": {"name": "a", "share": 10**400}}, r"it\.inner\.share"),
        ({"inner": {"name": "a", "colour": 1}}, r"it\.inner: unknown key 'colour'"),
        ({"many": {}}, "expected a list"),
        ({"many": [1]}, r"it\.many\[0\]"),
        ({"pair": [1.0]}, "expected 2 values, got 1"),
        ({"table": {"x": "1"}}, r"it\.table\.x"),
        ({"table": []}, "expected an object"),
        ({"other": 1}, "it: unknown key 'other'"),
    ],
)
def test_what_is_of_another_type(change, told):
    with pytest.raises(DecodeError, match=told):
        decode(Outer, {**asdict(WHOLE), **change}, "it")


def test_missing_fields_and_unknown_ones():
    with pytest.raises(DecodeError, match=r"it\.count: is missing"):
        decode(Outer, {}, "it")
    assert decode(Outer, {**asdict(WHOLE), "other": 1}, "it", unknown="ignore") == WHOLE
    with pytest.raises(DecodeError, match="expected an object, got list"):
        decode(Outer, [], "it")
