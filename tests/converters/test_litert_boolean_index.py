"""Writes through a mask, which the runtime has no operator for but a choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeformer_converters.base import ExportRequest, VariantPlan
from edgeformer_converters.litert.export import LiteRTConverter
from edgeformer_runtime.bundle.manifest import TensorSpec

pytest.importorskip("litert_torch")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")


class Masked(torch.nn.Module):
    """At places, whole rows, and not at all."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places, rows = x + 1.0, x * 2.0
        places[places > 1.5] = -3.0
        rows[x[:, :, 0] > 0] = 7.0
        return places, rows


def test_a_mask_of_places_and_one_of_rows(tmp_path: Path) -> None:
    shape = ("batch", 5, 4)
    request = ExportRequest(
        module=Masked().eval(),
        inputs=(TensorSpec("x", "float32", shape),),
        outputs=(TensorSpec("places", "float32", shape), TensorSpec("rows", "float32", shape)),
        example_inputs=(torch.zeros(1, 5, 4),),
        sequence_lengths=(),
        plan=VariantPlan("tflite", "tflite", ()),
    )
    variant = LiteRTConverter().export(request, tmp_path)
    runner = interpreter.Interpreter(str(tmp_path / variant.path)).get_signature_runner("serving_default")
    x = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0))
    actual = runner(x=x.numpy())
    for spec, expected in zip(request.outputs, request.module(x), strict=True):
        np.testing.assert_allclose(actual[spec.name], expected.numpy(), atol=1e-6)
