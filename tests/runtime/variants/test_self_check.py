from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime import Bundle, BundleWriter, EngineError, InputError, Session
from edgeformer_runtime.bundle.golden import DATA_NAME, GOLDEN_NAME, Golden, GoldenVariant
from edgeformer_runtime.device import facts as system
from edgeformer_runtime.files import cache
from edgeformer_runtime.variants import self_check

pytest.importorskip("onnxruntime")

ROWS = tuple(
    {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
    for ids in ([4, 5, 6], [5, 5], [4, 4, 4, 4, 8])
)


@pytest.fixture
def with_golden(make_bundle, tmp_path):
    """with_golden(variants, change): a bundle whose golden outputs are the right ones, but for what ``change`` does."""

    def make(variants=("onnx",), change=lambda name, outputs: outputs, needed=0.99, kind="classifier"):
        plain = make_bundle(kind, variants=variants, name="plain")
        known = {}
        for name in variants:
            with Session.open(plain, variant=name, threads=1) as session:
                outputs = [session.run(row) for row in ROWS]
            known[name] = GoldenVariant(tuple(change(name, outputs)), needed, "the engine of the test")
        with BundleWriter(tmp_path / "golden") as writer, Bundle.open(plain) as bundle:
            for entry in bundle.manifest.files:
                target = writer.directory / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(bundle.read(entry.path))
            for file, content in zip((GOLDEN_NAME, DATA_NAME), Golden(ROWS, known).to_files()):
                (writer.directory / file).write_bytes(content)
            writer.publish(bundle.manifest)
        return tmp_path / "golden"

    return make


def wrong(name, outputs):
    return [{key: array[:, ::-1] for key, array in row.items()} for row in outputs]


def test_an_older_bundle_opens_and_says_that_nothing_was_compared(make_bundle):
    with Session.open(make_bundle()) as session:
        assert "holds no golden.json" in session.self_check


def test_right_results_pass_once_and_are_remembered(with_golden):
    path = with_golden()
    with Session.open(path, threads=1) as session:
        assert "passed: 3 rows, least similarity 1.000000" in session.self_check
        assert "2 of 2 clear decisions equal" in session.self_check
        assert session._loaded.first_inference_ms > 0
    with Session.open(path, threads=2) as session:
        assert session.self_check == "self-check: passed on this machine before"
    with Session.open(path, self_check="always") as session:
        assert "passed: 3 rows" in session.self_check
    with Session.open(path, self_check="never") as session:
        assert "switched off" in session.self_check
    with pytest.raises(InputError, match="first, always, never"):
        Session.open(path, self_check="sometimes")


def test_wrong_results_are_refused_and_never_remembered(with_golden):
    path = with_golden(change=wrong)
    for _ in range(2):
        with pytest.raises(EngineError, match=r"self-check failed: .*similarity .*the engine of the test"):
            Session.open(path, variant="onnx")
    assert cache.read_entry("self-check.json") is None
    with pytest.raises(EngineError, match=r"onnx: .*self-check failed"):
        Session.open(path)
    with Session.open(path, self_check="never") as session:
        assert session.run(ROWS[0])["logits"].shape == (1, 3)


def test_auto_goes_on_to_the_next_and_names_the_refused_one(with_golden):
    path = with_golden(("onnx", "onnx2"), lambda name, outputs: wrong(name, outputs) if name == "onnx" else outputs)
    for _ in range(2):
        with Session.open(path) as session:
            assert session.variant.name == "onnx2"
            assert len(session.skipped) == 1
            assert session.skipped[0].startswith("onnx: variant 'onnx' on onnxruntime")
            assert "self-check failed" in session.skipped[0]


def test_a_small_difference_of_another_release_passes(with_golden):
    def drifted(name, outputs):
        return [{key: array + 0.05 for key, array in row.items()} for row in outputs]

    with Session.open(with_golden(change=drifted)) as session:
        assert "passed" in session.self_check


def test_what_is_not_finite_is_wrong(with_golden, monkeypatch):
    from edgeformer_runtime.variants.execution import VariantRunner

    path = with_golden()
    monkeypatch.setattr(VariantRunner, "run", lambda self, feeds: {"logits": np.full((1, 3), np.nan, np.float32)})
    with pytest.raises(EngineError, match=r"similarity -1\.0000"):
        Session.open(path, variant="onnx")


@pytest.mark.parametrize("changes", [{"cpu_features": ("sse",)}, {"cpu_model": "another"}, {"machine": "aarch64"}])
def test_another_cpu_is_checked_again(with_golden, monkeypatch, changes):
    path = with_golden()
    Session.open(path).close()
    device = dataclasses.replace(system.probe(), **changes)
    monkeypatch.setattr(self_check, "probe", lambda: device)
    with Session.open(path) as session:
        assert "passed: 3 rows" in session.self_check


def test_other_kernels_are_checked_again(with_golden, monkeypatch):
    from edgeformer_runtime.engines import onnxruntime

    path = with_golden()
    Session.open(path).close()
    choice = onnxruntime.choose_kernels

    def other(variant, version, path=None):
        note = "local attention: fused kernel, version 2, NEON"
        return dataclasses.replace(choice(variant, version, path), notes=(note,))

    monkeypatch.setattr(onnxruntime, "choose_kernels", other)
    with Session.open(path) as session:
        assert "passed: 3 rows" in session.self_check


def expected(*rows, needed=0.9):
    return GoldenVariant(tuple({"y": np.asarray(row, np.float32)} for row in rows), needed, "test")


def test_a_clear_decision_that_changed_is_found_among_many_numbers():
    """Five tokens of two hundred decided otherwise hardly move the similarity."""
    right = np.zeros((1, 200, 3), np.float32)
    right[..., 1] = 5
    given = right.copy()
    given[0, :5, 1], given[0, :5, 2] = 0, 5
    assert self_check.similarities([{"y": given}], [{"y": right}])[0] > 0.9
    assert self_check._decisions([{"y": given}], expected(right), 0.99) == (195, 200)
    runner = SimpleNamespace(
        run=lambda row: {"y": given},
        variant=SimpleNamespace(name="v"),
        label="an engine",
    )
    with pytest.raises(EngineError, match=r"of 200 clear decisions .* it makes 195"):
        self_check._compare(runner, Golden(({"x": right},), {}), expected(right, needed=0.97))


def test_a_tie_is_no_clear_decision():
    right = np.array([[1.0, 1.001]], np.float32)
    assert self_check._decisions([{"y": right[:, ::-1]}], expected(right), 0.99) == (0, 0)
    assert self_check._decisions([{"y": right[:, :1]}], expected(right[:, :1]), 0.99) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=6), st.floats(0, 1e-3), st.integers(0, 99))
def test_similarity_falls_with_the_error_and_never_exceeds_one(values, error, seed):
    row = np.asarray([values])
    usual = max(float(np.linalg.norm(row)), 1e-9)
    noise = np.random.default_rng(seed).standard_normal(row.shape)
    noise *= error * usual / np.linalg.norm(noise)
    (found,) = self_check.similarities([{"y": row + noise}], [{"y": row}])
    assert found <= 1
    if np.linalg.norm(row) > 1e-6:
        assert found == pytest.approx(1 - error**2 / 2, abs=error**2)
