"""Time and memory against length: measured from a real bundle in processes of their own, drawn, and read back."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from edgeformer.errors import InputError
from edgeformer.report.scaling import Point, Scaling, measure
from edgeformer.report.scaling_plot import draw, page, table, write

SCALING = Scaling(
    2,
    (
        Point("full", "onnx", 4096, 3, 900.0, 3_000_000_000, 500_000_000, "onnxruntime"),
        Point("full", "onnx", 64, 50, 1.5, 600_000_000, 500_000_000, "onnxruntime"),
        Point("local", "onnx", 64, 50, 1.4, 590_000_000, 500_000_000, "onnxruntime (AVX2 kernels)"),
        Point("local", "coreml", 64, reason="no engine for <coreml> on this machine"),
    ),
)


def test_lines_hold_what_was_measured_by_length():
    lines = SCALING.lines()
    assert [point.tokens for point in lines["full, onnx"]] == [64, 4096]
    assert list(lines) == ["full, onnx", "local, onnx"]


def test_it_reads_what_it_wrote_and_nothing_else():
    assert Scaling.from_json(SCALING.to_json()) == SCALING
    for text in ("[]", "{", '{"threads": 2, "points": [{"tokens": 4}]}'):
        with pytest.raises(InputError, match="no scaling report"):
            Scaling.from_json(text)


def test_pictures_and_pages_repeat_and_say_what_is_missing(tmp_path):
    assert draw(SCALING, ".svg") == draw(SCALING, ".svg")
    ElementTree.fromstring(draw(SCALING, ".svg"))
    assert draw(SCALING, ".png").startswith(b"\x89PNG")
    text = page(SCALING).decode()
    assert "no engine for &lt;coreml&gt;" in text
    assert "AVX2 kernels" in text
    assert table(SCALING)[3][3] == "-"
    write(SCALING, tmp_path / "scaling.html")
    assert (tmp_path / "scaling.html").read_bytes() == page(SCALING)
    with pytest.raises(InputError, match=r"\.svg"):
        write(SCALING, tmp_path / "scaling.gif")
    with pytest.raises(InputError, match="no engine for"):
        draw(Scaling(1, SCALING.points[3:]), ".svg")


def test_axes_are_labelled_with_plain_numbers():
    drawn = draw(SCALING, ".svg").decode()
    assert "math" not in drawn
    labels = re.findall(r"<!-- ([\d.e+-]+) -->", drawn)
    assert {"64", "512", "4096", "10", "100"} <= set(labels)
    assert not [label for label in labels if "e" in label]
    one = draw(Scaling(1, (Point("b", "onnx", 48, 3, 3.3, 600_000_000, 1, "onnxruntime"),)), ".svg").decode()
    assert {"48", "3.3"} <= set(re.findall(r"<!-- ([\d.e+-]+) -->", one))


@pytest.mark.parametrize(("lengths", "message"), [([], "lengths"), ([0], "lengths")])
def test_what_can_not_be_measured_is_refused(tmp_path, lengths, message):
    with pytest.raises(InputError, match=message):
        measure([tmp_path], lengths, 1)
    with pytest.raises(InputError, match="different names"):
        measure([tmp_path, tmp_path], [8], 1)


@pytest.mark.slow
def test_a_bundle_is_measured(tiny_model, tmp_path):
    import edgeformer as ef

    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=-1")
    ef.compile(tiny_model, output=tmp_path / "small", recipe=recipe, formats=["onnx", "tflite"], sequence_lengths=[16])
    found = measure([tmp_path / "small"], [16, 8], 1)
    by = {(point.variant, point.tokens): point for point in found.points}
    assert by["onnx", 8].latency_ms > 0
    assert by["onnx", 8].peak_bytes > by["onnx", 8].resident_bytes * 0.9
    assert by["tflite", 16].engine.startswith("ai_edge_litert")
    assert by["tflite", 8].reason == "its lengths are 16"
    assert json.loads(found.to_json())["threads"] == 1
