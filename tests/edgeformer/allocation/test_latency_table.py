"""The latency table: real exports in real engines, exact files, and no guess for what is missing."""

import pytest

from edgeformer.allocation import latency_table
from edgeformer.allocation.latency_table import LatencyEntry, LatencyTable, load, measure
from edgeformer.errors import InputError
from edgeformer.stages import Stages

TABLE = LatencyTable(
    "onnxruntime", "1.31.1", "x86_64", 1, 64,
    (LatencyEntry(8, 32, "int8", 0.25, 100), LatencyEntry(8, 32, "float32", 0.5, 100)), rest_ms=1.0,
)  # fmt: skip


@pytest.mark.parametrize("format_name", ["onnx", "tflite"])
def test_a_table_of_real_runs_is_kept(format_name, tmp_path):
    table = None
    for _ in range(2):
        stages = Stages(tmp_path)
        again = measure(
            [(64, 32), (512, 512)], ["int4-block32", "float32"], format_name=format_name, sequence_length=16,
            stages=stages,
        )  # fmt: skip
        assert table is None or again == table
        table = again
    assert stages.records[-1].resumed
    assert {(e.out_features, e.in_features, e.format) for e in table.entries} == {
        (*shape, format) for shape in [(64, 32), (512, 512)] for format in ("int4-block32", "float32")
    }
    assert table.engine == {"onnx": "onnxruntime", "tflite": "litert"}[format_name]
    # 128 times the arithmetic: any clock sees it
    assert table.latency_ms((512, 512), "float32") > table.latency_ms((64, 32), "float32")
    assert table.sequence_length == 16
    assert all(entry.runs == latency_table.ROUNDS * latency_table.RUNS_A_ROUND for entry in table.entries)


def test_formats_that_do_not_fit_a_shape_are_left_out_and_named_when_asked_for():
    with pytest.raises(InputError, match="nothing to measure"):
        measure([(8, 24)], ["int4-block32"])


def test_what_is_missing_is_named_never_guessed():
    assert TABLE.latency_ms((8, 32), "int8") == 0.25
    with pytest.raises(InputError, match="no entry for 8x32 as int4: it has this shape only as float32, int8"):
        TABLE.latency_ms((8, 32), "int4")
    with pytest.raises(InputError, match="no entry for 9x32 as int8: it doesn't have this shape"):
        TABLE.latency_ms((9, 32), "int8")


def test_files_are_exact_and_damage_is_said(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(TABLE.to_json())
    assert load(path) == TABLE
    for text in ("{", "[]", "{}", TABLE.to_json().replace("0.25", "-1"), TABLE.to_json().replace("median_ms", "ms")):
        path.write_text(text)
        with pytest.raises(InputError, match=r"table\.json: latency table"):
            load(path)
    with pytest.raises(InputError, match="can't be read"):
        load(tmp_path / "none.json")


def test_a_format_without_an_engine_here_is_refused():
    with pytest.raises(InputError, match=r"coreml.*expected onnx or tflite"):
        measure([(8, 32)], ["int8"], format_name="coreml")
