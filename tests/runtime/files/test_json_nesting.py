from __future__ import annotations

import json
import time

from hypothesis import given
from hypothesis import strategies as st

from edgeformer_runtime.files.json_nesting import nests_deeper

TEXT = st.text(alphabet='[]{}"\\,: a\u00e9\n', max_size=12)
DATA = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=30,
)


def depth_of(value) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth_of, children), default=0)


def deepest_call(text: str) -> int:
    """How deep a scanner that knows strings gets before it meets what no parser accepts there."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
            if depth < 0:
                break
        elif character == "\\":
            break
    return deepest


@given(DATA, st.booleans())
def test_the_depth_of_json_is_what_its_data_has(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only)
    depth = depth_of(value)
    assert not nests_deeper(text, depth)
    if depth:
        assert nests_deeper(text, depth - 1)


@given(st.text(alphabet='[]{}"\\a', max_size=40))
def test_what_is_no_json_never_gets_a_parser_deeper_than_said(text):
    assert nests_deeper(text, max(0, deepest_call(text) - 1)) or deepest_call(text) == 0


def test_eight_megabytes_of_anything_take_little_time():
    start = time.process_time()
    for part in ("[]", '""', '\\"', '"\\\\"', "]", "[[]],"):
        nests_deeper("[" * 60 + part * ((8 << 20) // len(part)), 64)
    assert time.process_time() - start < 30
