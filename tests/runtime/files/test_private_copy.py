from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeformer_runtime import Bundle, RuntimeBundleError, Session
from edgeformer_runtime.files import private_copy

MODEL = "variants/onnx/model.onnx"


@pytest.fixture
def path(make_bundle):
    return make_bundle()


def copies(bundle):
    return bundle.loadable(bundle.manifest.variants[0].path)


def test_it_holds_what_was_hashed(path):
    with Bundle.open(path) as bundle, copies(bundle) as copy:
        (path / MODEL).write_bytes(b"other")
        assert copy.read_bytes()[:1] == b"\x08"
        assert len(copy.read_bytes()) == 610


@pytest.mark.skipif(sys.platform != "linux", reason="sealed files are Linux's")
def test_nobody_can_write_to_it(path):
    with Bundle.open(path) as bundle, copies(bundle) as copy:
        for mode in ("r+b", "ab", "wb"):
            with pytest.raises(OSError, match=r"not permitted|denied"), copy.open(mode, buffering=0) as file:
                file.write(b"x")
        assert len(copy.read_bytes()) == 610


def test_where_there_are_no_sealed_files_it_is_a_folder_of_this_user_alone(path, monkeypatch):
    monkeypatch.setattr(private_copy, "sealed_copy", lambda *_: None)
    bundle = Bundle.open(path)
    with copies(bundle) as copy:
        assert copy.name == "model.onnx"
        assert (copy.parent.parent.stat().st_mode & 0o077) == 0
        assert len(copy.read_bytes()) == 610
    bundle.close()
    assert not copy.parent.parent.exists()


def test_a_folder_is_copied_whole(path, monkeypatch):
    bundle = Bundle.open(path)
    entries = private_copy.entries_below(bundle.manifest.files, "variants/onnx")
    with bundle._copies.of_folder(entries, "variants/onnx") as copy:
        assert [item.name for item in copy.iterdir()] == ["model.onnx"]
    bundle.close()
    assert not copy.exists()


def test_no_file_and_no_descriptor_is_left(path):
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    with Bundle.open(path) as bundle:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(20):
            with copies(bundle):
                pass
        (path / MODEL).write_bytes(bytes(610))
        for _ in range(20):
            with pytest.raises(RuntimeBundleError, match="was changed"), copies(bundle):
                pass
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("engine", ["onnxruntime", "ai_edge_litert"])
def test_an_open_session_doesnt_notice_what_happens_to_its_files(make_bundle, engine):
    pytest.importorskip(engine)
    path = make_bundle(variants=("onnx",) if engine == "onnxruntime" else ("tflite",))
    ids = np.ones((1, 8), np.int64)
    with Session.open(path) as session:
        expected = session.run({"input_ids": ids, "attention_mask": ids})["logits"]
        for file in path.rglob("*"):
            if file.is_file():
                with file.open("r+b") as opened:  # in place: a mapped file would change, or end, under the engine
                    opened.truncate(0)
        assert np.array_equal(session.run({"input_ids": ids, "attention_mask": ids})["logits"], expected)


def test_an_engines_message_names_the_users_file(make_bundle, tmp_path):
    pytest.importorskip("onnxruntime")
    model = tmp_path / "broken.onnx"
    model.write_bytes(b"\x08\x07broken" * 20)
    with pytest.raises(Exception, match=r"model\.onnx") as caught:
        Session.open(make_bundle(model=model), variant="onnx")
    assert "/proc/" not in str(caught.value)


def test_a_single_file_is_read_as_it_was_hashed(path):
    with Bundle.open(path) as bundle:
        assert len(bundle.read("preprocess/tokenizer.json")) == 737
        with pytest.raises(RuntimeBundleError, match="not among its files"):
            bundle.read("report.json")
        (path / "preprocess/tokenizer.json").unlink()
        with pytest.raises(RuntimeBundleError, match="can't be read"):
            bundle.read("preprocess/tokenizer.json")
