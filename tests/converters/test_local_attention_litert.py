"""LocalAttention in TFLite: one static form a signature, all of it taken by XNNPACK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeformer_converters.litert.export import LiteRTConverter
from edgeformer_converters.ops.local_attention import LocalPattern

from .local_attention_cases import PATTERNS, SHORT_IS_FULL, expected, inputs_for, layer_of, request_for

pytest.importorskip("litert_torch")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")


def check(pattern: LocalPattern, lengths: tuple[int, ...], kv_heads: int, path: Path) -> None:
    layer = layer_of(pattern, kv_heads=kv_heads, bias=True)
    request = request_for(layer, "tflite", lengths)
    variant = LiteRTConverter().export(request, path)
    assert variant.facts["xnnpack_partitions"] == 1
    assert variant.facts["xnnpack_left_out"] == {}
    runtime = interpreter.Interpreter(str(path / variant.path), num_threads=1)
    for length in lengths:
        x, keep = inputs_for(layer, 1, length, length)
        keep[:, length // 2 : length // 2 + 20] = 0  # some queries see nothing
        got = runtime.get_signature_runner(f"seq{length}")(x=x.numpy(), keep=keep.numpy())["y"]
        np.testing.assert_allclose(got, expected(request, x, keep), atol=1e-5)


@pytest.mark.parametrize(("name", "lengths", "kv_heads"), [("window", (61, 24), 4), ("dilated", (120,), 2)])
def test_export_equals_torch(name: str, lengths: tuple[int, ...], kv_heads: int, tmp_path: Path) -> None:
    check(PATTERNS[name], lengths, kv_heads, tmp_path)


def test_each_signature_chooses_by_its_own_length(tmp_path: Path) -> None:
    layer = layer_of(SHORT_IS_FULL)
    request = request_for(layer, "tflite", (24, 64))
    variant = LiteRTConverter().export(request, tmp_path)
    assert variant.settings["full_attention"] == {"below_positions": [40], "decided_by": "signature"}
    assert variant.facts["xnnpack_partitions"] == 1
    runtime = interpreter.Interpreter(str(tmp_path / variant.path), num_threads=1)
    for length in (24, 64):
        x, keep = inputs_for(layer, 1, length, length)
        keep[:, 20:] = 0  # a text of 20 tokens: full attention in one, windows in the other
        got = runtime.get_signature_runner(f"seq{length}")(x=x.numpy(), keep=keep.numpy())["y"]
        np.testing.assert_allclose(got, expected(request, x, keep), atol=1e-5)


@pytest.mark.slow
def test_long_input(tmp_path: Path) -> None:
    check(LocalPattern.radius(128, global_tokens=(0,)), (4096,), 4, tmp_path)
