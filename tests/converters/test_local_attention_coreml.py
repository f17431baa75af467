"""LocalAttention in Core ML: products and one softmax, run by the evaluator of the saved program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .local_attention_cases import PATTERNS, SHORT_IS_FULL, expected, inputs_for, layer_of, request_for

pytest.importorskip("coremltools")

from edgeformer_converters.coreml.evaluator import MilEvaluator
from edgeformer_converters.coreml.export import CoreMLConverter
from edgeformer_converters.ops.local_attention import LocalPattern


def check(pattern: LocalPattern, lengths: tuple[int, ...], path: Path) -> None:
    layer = layer_of(pattern, kv_heads=2)
    layer.ruled_at = lengths[-1]  # one program for all lengths: the longest decides
    request = request_for(layer, "coreml", lengths)
    variant = CoreMLConverter().export(request, path)
    assert "scaled_dot_product_attention" not in variant.facts["operators"]
    evaluator = MilEvaluator(path / variant.path)
    for length in lengths:
        x, keep = inputs_for(layer, 1, length, length)
        keep[:, length // 2 : length // 2 + 20] = 0  # some queries see nothing
        got = evaluator.run({"x": x.numpy(), "keep": keep.numpy()})["y"]
        # the file holds its constants, the scale among them, in half precision
        np.testing.assert_allclose(got, expected(request, x, keep), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "lengths"), [("window", (61,)), ("dilated", (24, 64)), ("rule", (24, 64)), ("rule", (30,))]
)
def test_export_equals_torch(name: str, lengths: tuple[int, ...], tmp_path: Path) -> None:
    check(PATTERNS.get(name, SHORT_IS_FULL), lengths, tmp_path)


@pytest.mark.slow
def test_long_input(tmp_path: Path) -> None:
    check(LocalPattern.radius(128, global_tokens=(0,)), (4096,), tmp_path)
