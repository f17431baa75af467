from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime.engines.onnx_files import count_nodes

DATA = Path(__file__).parent.parent / "data"


@pytest.mark.parametrize(("name", "nodes"), [("classifier", 7), ("tokens", 1), ("answers", 3)])
def test_nodes_are_counted_without_onnx(name, nodes):
    assert count_nodes((DATA / f"{name}.onnx").read_bytes()) == nodes


def test_what_is_no_onnx_file_has_no_count():
    content = (DATA / "classifier.onnx").read_bytes()
    assert count_nodes(b"not a model") is None
    assert count_nodes(content[:-3]) is None
    assert count_nodes(b"\xff" * 20) is None
    assert count_nodes(b"") == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_count_or_none(content):
    found = count_nodes(content)
    assert found is None or 0 <= found <= len(content)
