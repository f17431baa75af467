from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from edgeformer_runtime import EngineError, InputError, Report, Session
from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.bundle.writer import BundleWriter
from edgeformer_runtime.files.cache import cache_directory
from edgeformer_runtime.power.external import wrap

onnxruntime = pytest.importorskip("onnxruntime")


def direct(table, ids, mask):
    weights = mask[:, :, None].astype(np.float32)
    return (table[ids] * weights).sum(1) / weights.sum(1)


def feeds(ids, mask=None):
    ids = np.asarray(ids, dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids) if mask is None else np.asarray(mask)}


def test_run_equals_the_function_that_the_model_is(make_bundle, table):
    with Session.open(make_bundle(), threads=1) as session:
        given = feeds([[4, 5, 6], [5, 5, 0]], [[1, 1, 1], [1, 1, 0]])
        result = session.run(given)
        np.testing.assert_allclose(
            result["logits"],
            direct(table, given["input_ids"], given["attention_mask"]),
            rtol=1e-6,
        )
        assert "CPUExecutionProvider" in session.engine
        assert session.variant.name == "onnx"
        assert session.threads == 1


def test_litert_gives_the_same_as_onnx(make_bundle):
    pytest.importorskip("ai_edge_litert")
    path = make_bundle(variants=("onnx", "tflite"))
    rows = feeds([[4, 5, 6, 7, 8, 9, 10, 4, 5], [5] * 9, [4] * 9])
    results = {}
    for name in ("onnx", "tflite"):
        with Session.open(path, variant=name, threads=1) as session:
            results[name] = session.run(rows)["logits"]
            assert session.variant.name == name
    np.testing.assert_allclose(results["onnx"], results["tflite"], atol=1e-6)
    with Session.open(path, variant="tflite", threads=1) as session, pytest.raises(InputError, match="8, 16"):
        session.run(feeds([[4] * 17]))


def test_auto_measures_chooses_and_remembers(make_bundle):
    pytest.importorskip("ai_edge_litert")
    path = make_bundle(variants=("onnx", "tflite", "coreml"))
    with Session.open(path, threads=1) as session:
        first = session.variant.name
        slower = [text for text in session.skipped if "slower" in text]
        assert len(slower) == 1
        assert " ms, slower than " in slower[0]
        assert any(text.startswith("coreml: ") for text in session.skipped)
        report = session.benchmark(runs=1, quick=True)
        assert report.peak_rss_growth_bytes is None
        assert "several variants" in report.reasons["peak_rss_growth_bytes"]
    assert (cache_directory() / "variant-choice.json").exists()
    with Session.open(path, threads=1) as session:
        assert session.variant.name == first
        assert any("before" in text for text in session.skipped)
        assert session.benchmark(runs=1, quick=True).peak_rss_growth_bytes is not None


def test_a_damaged_or_unwritable_cache_is_no_error(make_bundle, monkeypatch, tmp_path):
    path = make_bundle(variants=("onnx", "onnx2"))
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    monkeypatch.setenv("EDGEFORMER_CACHE", str(blocked))
    with Session.open(path) as session:
        assert len(session.skipped) == 1
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "variant-choice.json").write_text('["not an object"')
    monkeypatch.setenv("EDGEFORMER_CACHE", str(damaged))
    with Session.open(path) as session:
        assert len(session.skipped) == 1


def test_no_usable_variant_names_each_reason(make_bundle):
    path = make_bundle(variants=("coreml", "tensorrt"))
    with pytest.raises(EngineError, match=r"coreml: .*tensorrt: .*TensorrtExecutionProvider"):
        Session.open(path, engine="tensorrt")
    with pytest.raises(EngineError, match=r"'tensorrt' can't run here: .*TensorrtExecutionProvider"):
        Session.open(path, variant="tensorrt", engine="tensorrt")
    with pytest.raises(InputError, match="auto, onnxruntime, cuda, tensorrt, litert, coreml"):
        Session.open(path, engine="openvino")


def test_a_tensorrt_variant_runs_on_the_cpu_where_nothing_else_does_and_says_so(make_bundle):
    path = make_bundle(variants=("coreml", "tensorrt"))
    for variant in ("auto", "tensorrt"):
        with Session.open(path, variant=variant) as session:
            assert session.variant.name == "tensorrt"
            assert "CPUExecutionProvider" in session.engine
            said = [text for text in session.skipped if text.endswith("runs on onnxruntime instead")]
            assert ["TensorrtExecutionProvider" in text for text in said] == [True, False]
            assert ["CUDAExecutionProvider" in text for text in said] == [False, True]


def test_a_variant_that_fails_to_load_is_skipped_with_its_reason(make_bundle):
    path = make_bundle("tokens", model="external.onnx")
    with pytest.raises(EngineError, match="tensors in other files"):
        Session.open(path)


def test_wrong_arguments(make_bundle):
    path = make_bundle()
    with pytest.raises(InputError, match="auto, onnx"):
        Session.open(path, variant="tflite")
    for threads in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="threads"):
            Session.open(path, threads=threads)
    session = Session.open(path)
    session.close()
    session.close()
    with pytest.raises(InputError, match="closed"):
        session.run({})
    with pytest.raises(InputError, match="closed"):
        session.predict(["good"])


def test_predict_labels(make_bundle):
    with Session.open(make_bundle()) as session:
        good, bad = session.predict(["Good", "bad bad"])
    assert (good.label, bad.label) == ("good", "bad")
    assert good.score == good.scores["good"] > 0.5
    assert sum(good.scores.values()) == pytest.approx(1)
    assert (good.tokens, good.truncated) == (3, False)


def test_predict_says_that_it_cut_a_text(make_bundle):
    with Session.open(make_bundle()) as session:
        (result,) = session.predict(["good " * 40])
    assert (result.tokens, result.truncated) == (12, True)


def test_predict_does_not_depend_on_the_neighbours(make_bundle):
    with Session.open(make_bundle()) as session:
        alone = session.predict(["good bad"])
        together = session.predict(["bad", "good bad", "good good good"])
    assert alone[0] == together[1]


def test_predict_refuses_what_is_no_text(make_bundle):
    with Session.open(make_bundle()) as session:
        assert session.predict([]) == []
        for wrong in ("good", [1], [("good", "bad")], [None]):
            with pytest.raises(InputError, match="predict"):
                session.predict(wrong)


def test_pairs_that_the_bundle_was_not_made_for(make_bundle):
    said = r"takes a text, got .* compile it with --pair"
    with Session.open(make_bundle()) as session, pytest.raises(InputError, match=said):
        session.predict([("good", "bad")])


def test_the_side_that_is_cut_is_the_bundle_s(make_bundle):
    text = "good " * 10 + "bad " * 10
    results = []
    for side in ("right", "left"):
        with Session.open(make_bundle(name=side, truncation=side)) as session:
            results += session.predict([text])
    right, left = results
    assert right.truncated
    assert left.truncated
    assert right.scores["good"] > left.scores["good"]


def test_a_bundle_without_a_tokenizer_says_why_it_takes_no_text(make_bundle, tmp_path):
    bundle = Bundle.open(make_bundle())
    with BundleWriter(tmp_path / "without") as writer:
        for item in bundle.manifest.files:
            if item.path.startswith("variants"):
                (writer.directory / item.path).parent.mkdir(parents=True, exist_ok=True)
                (writer.directory / item.path).write_bytes(bundle.read(item.path))
        writer.publish(replace(bundle.manifest, preprocess=(), files=()))
    with Session.open(tmp_path / "without") as session:
        with pytest.raises(InputError, match="from a directory without a tokenizer"):
            session.predict(["good"])
        assert session.run(feeds([[2, 4, 3]]))


def test_predict_pairs_where_the_model_takes_them(make_bundle):
    with Session.open(make_bundle(pair=True)) as session:
        pair, single = session.predict([("good", "bad"), "good"])
    assert (pair.tokens, single.tokens) == (5, 3)


def test_predict_multi_label_and_regression(make_bundle):
    task = TaskSpec("text-classification", ("bad", "good", "other"), multi_label=True)
    with Session.open(make_bundle(task=task)) as session:
        (result,) = session.predict(["good good"])
    assert result.label == "good"
    assert result.scores["good"] == pytest.approx(1 / (1 + np.exp(-3)))
    assert result.labels == ("bad", "good", "other")  # a logit of 0 is a score of 0.5


def test_predict_entities(make_bundle):
    with Session.open(make_bundle("tokens")) as session:
        (result,) = session.predict(["Ann lives in Romes."])
    assert [(item.label, item.text, item.start, item.end) for item in result.entities] == [
        ("PER", "Ann", 0, 3),
        ("LOC", "Romes", 13, 18),
    ]


def test_predict_answers(make_bundle):
    with Session.open(make_bundle("answers")) as session:
        (result,) = session.predict([("Ann lives in", "Ann lives in Rome.")])
        with pytest.raises(InputError, match="pair"):
            session.predict(["Ann"])
    assert (result.text, result.start, result.end) == ("Ann lives in Rome", 0, 17)
    assert 0 < result.score < 1


def test_benchmark_reports_what_it_measured(make_bundle):
    told = []
    with Session.open(make_bundle(), threads=1) as session:
        report = session.benchmark(runs=20, sequence_length=5, quick=True, progress=told.append)
    assert isinstance(report, Report)
    assert report.runs == 20
    assert [repeat.runs for repeat in report.repeats] == [7, 7, 6]
    assert report.sequence_length == 5
    assert report.latency_ms.p50 > 0
    assert report.p50_interval.low <= report.latency_ms.p50 <= report.p50_interval.high
    assert report.latency_ms.p99 is None
    assert report.reasons["latency_ms.p99"] == "20 runs, needs 1000"
    assert report.load_ms > 0
    assert report.first_inference_ms > 0
    assert report.peak_rss_bytes > 10 << 20
    assert report.peak_rss_growth_bytes >= 0
    assert report.warmup_runs >= 10
    assert Report.from_json(report.to_json()) == report
    assert any("timing, repeat 3 of 3" in text for text in told)
    for name in ("energy", "thermal", "clock", "sustained"):
        assert getattr(report, name) is not None or report.reasons[name]


def test_benchmark_by_duration_and_its_limits(make_bundle):
    with Session.open(make_bundle(), threads=1) as session:
        report = session.benchmark(duration_s=0.05, quick=True)
        assert report.duration_s >= 0.05
        for wrong in (
            {"runs": 0},
            {"duration_s": 0},
            {"duration_s": float("nan")},
            {"sequence_length": 0},
            {"sustained_minutes": 0},
        ):
            with pytest.raises(InputError):
                session.benchmark(**wrong)


def test_a_length_that_is_padded_is_reported_as_what_was_run(make_bundle):
    pytest.importorskip("ai_edge_litert")
    with Session.open(make_bundle(variants=("tflite",)), threads=1) as session:
        padded = session.benchmark(runs=5, quick=True, sequence_length=5)
        exact = session.benchmark(runs=5, quick=True, sequence_length=8)
    assert padded.sequence_length == exact.sequence_length == 8
    assert any("5 positions were asked for: the variant is made for 8" in note for note in padded.delegation)
    assert not any("asked for" in note for note in exact.delegation)


def test_more_threads_than_cores_is_no_valid_measurement(make_bundle):
    with Session.open(make_bundle(), threads=64) as session:
        report = session.benchmark(runs=5, quick=True)
    assert any(reason.startswith("64 threads share the") for reason in report.invalid)
    assert not report.valid


class SteppedTime:
    """A clock that goes on by a millisecond each time it is read, and samples on the way: no load changes it."""

    def __init__(self):
        self.t, self.recorder = 0.0, None

    def now(self):
        self.sleep(0.001)
        return self.t

    def sleep(self, seconds):
        end = self.t + seconds
        recorder, self.recorder = self.recorder, None  # a sample reads the clock, too
        while recorder is not None and not recorder.paused and self.t + recorder.due_in(self.t) <= end:
            self.t += recorder.due_in(self.t)
            recorder.tick(lambda: self.t)
        self.t, self.recorder = end, recorder

    @contextlib.contextmanager
    def sampling(self, recorder):
        self.recorder = recorder
        yield
        self.recorder = None


def test_benchmark_with_a_meter_of_ones_own(make_bundle, monkeypatch):
    class Mine:
        def read_watts(self):
            return 3.5

    monkeypatch.setattr("edgeformer_runtime.measuring.instruments.RealTime", SteppedTime)
    with Session.open(make_bundle(), threads=1) as session:
        meter = wrap(Mine(), min_interval_s=0.05)
        report = session.benchmark(duration_s=0.8, quick=True, sustained_minutes=0.005, meter=meter)
    assert (report.power.status, report.power.scope) == ("measured", "external meter")
    assert report.power.watts == pytest.approx(3.5)
    assert report.energy.gross_mj == pytest.approx(3.5e3 * report.duration_s / report.runs)
    assert report.energy.net_mj is None  # as much as when idle
    assert "not resolved" in report.reasons["energy.net_mj"]
    assert len(report.sustained.windows) >= 5


def test_benchmark_with_a_broken_meter_keeps_the_latency(make_bundle):
    class Broken:
        def read_watts(self):
            raise RuntimeError("unplugged")

    with Session.open(make_bundle(), threads=1) as session:
        report = session.benchmark(runs=30, quick=True, meter=Broken())
    assert report.power.watts is None
    assert "unplugged" in report.power.reason
    assert report.runs == 30


def test_a_zip_is_opened_and_its_copy_removed(make_bundle, tmp_path):
    from edgeformer_runtime import pack

    path = pack(make_bundle(), tmp_path / "bundle.zip")
    with Session.open(path) as session:
        copy = session.bundle.path
        assert copy.is_dir()
        assert session.predict(["good"])[0].label == "good"
    assert not copy.exists()
