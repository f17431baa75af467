"""`edgeformer-run predict --file` and `--lines`: what is read, what is cut, what is said, what is refused."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest

from edgeformer_runtime import cli
from edgeformer_runtime.commands import documents

pytest.importorskip("onnxruntime")
TEXT = "good film\nbad\n\n" + "good " * 5  # 8 words, 10 tokens with [CLS] and [SEP]


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_file_is_one_document(make_bundle, capsys, report):
    status, out, err = run(capsys, "predict", make_bundle(), "--file", report, "--threads", 1)
    assert status == 0
    assert out.splitlines() == [out.rstrip("\n")]
    assert out.startswith("good ")
    assert out.rstrip("\n").endswith(f"\t{report}")
    assert "document 1 of 1: 10 tokens read, at most 12, 0 cut, " in err
    assert "variant onnx on onnxruntime" in err
    assert "1 thread\n" in err
    assert "memory: " in err


def test_what_is_cut_is_counted(make_bundle, capsys, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("good " * 100, encoding="utf-8")
    status, out, err = run(capsys, "predict", make_bundle(), "--file", path)
    assert (status, out.rstrip("\n").endswith("(truncated)")) == (0, True)
    assert "12 tokens read, at most 12, 90 cut at its end" in err  # [CLS] + 10 of 100 words + [SEP]


def test_json_holds_documents_time_and_memory(make_bundle, capsys, report, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("bad " * 100, encoding="utf-8")
    status, out, err = run(capsys, "predict", make_bundle(), "--file", report, "--file", other, "--json")
    value = json.loads(out)
    assert (status, err) == (0, "")
    assert [item["document"] for item in value["results"]] == [str(report), str(other)]
    assert [(item["tokens"], item["tokens_cut"]) for item in value["results"]] == [(10, 0), (12, 90)]
    assert [item["label"] for item in value["results"]] == ["good", "bad"]
    assert all(item["latency_ms"] > 0 for item in value["results"])
    assert (value["max_length"], value["delegation"]) == (12, [])
    memory = value["memory"]
    assert list(memory["rss_bytes"]) == ["before_opening", "opened", "after_the_last_text"]
    if sys.platform.startswith("linux"):
        assert memory["missing_because"] is None
        assert all(1e6 < count <= memory["peak_rss_bytes"] for count in memory["rss_bytes"].values())
        assert 0 <= memory["peak_growth_bytes"] < memory["peak_rss_bytes"]


def test_memory_that_is_not_told_is_unknown_with_the_reason(monkeypatch):
    monkeypatch.setattr(documents, "process_bytes", lambda: (None, None))
    monkeypatch.setattr(documents, "peak_rss_bytes", lambda: None)
    memory = documents.Memory()
    memory.note("before_opening")
    told = memory.to_dict()
    assert (told["rss_bytes"], told["peak_growth_bytes"]) == ({"before_opening": None}, None)
    assert "doesn't tell" in told["missing_because"]
    facts = {"memory": told, "variant": "v", "engine": "e", "threads": 1, "delegation": [], "max_length": 4}
    assert documents.summary([], facts)[-1].startswith("memory: unknown before opening; peak unknown")


def test_lines_are_texts_of_their_own(make_bundle, capsys, report):
    status, out, err = run(capsys, "predict", make_bundle(), "--lines", report)
    assert (status, err) == (0, "")
    assert [line.split("\t")[1] for line in out.splitlines()] == ["good film", "bad", TEXT.splitlines()[-1]]


@pytest.mark.parametrize(("option", "count"), [("--file", 1), ("--lines", 3)])
def test_standard_input(make_bundle, capsys, monkeypatch, option, count):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    status, out, _ = run(capsys, "predict", make_bundle(), option, "-", "--json")
    assert (status, len(json.loads(out)["results"])) == (0, count)


def test_a_question_is_asked_of_a_document(make_bundle, capsys, tmp_path):
    path = tmp_path / "document.txt"
    path.write_text("Ann lives in Rome.\n", encoding="utf-8")
    bundle = make_bundle("answers")
    status, out, err = run(capsys, "predict", bundle, "--pair", "Ann lives in", "--file", path)
    assert (status, out.startswith("Ann lives in Rome"), "0 cut" in err) == (0, True, True)
    assert "one TEXT" in run(capsys, "predict", bundle, "--pair", "--file", path)[2]
    path.write_text("Ann lives in Rome. " * 9, encoding="utf-8")
    value = json.loads(run(capsys, "predict", bundle, "--pair", "Ann", "--file", path, "--json")[1])["results"][0]
    words = 5 * 9  # the last dot of each sentence is a token of its own
    assert value["tokens"] + value["tokens_cut"] == words + 4  # Ann, [CLS] and two [SEP]


def test_a_mark_of_windows_in_front_is_no_text(make_bundle, capsys, tmp_path):
    path = tmp_path / "windows.txt"
    path.write_bytes(b"\xef\xbb\xbfgood\r\nfilm\r\n")
    plain = tmp_path / "plain.txt"
    plain.write_bytes(b"good film")
    status, out, _ = run(capsys, "predict", make_bundle(), "--file", path, "--file", plain, "--json")
    first, second = json.loads(out)["results"]
    assert (status, first["tokens"], first["scores"]) == (0, second["tokens"], second["scores"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"good \xff film", "no UTF-8 text: invalid start byte 0xff at byte 5"),
        ("good".encode("utf-16"), "no UTF-8 text"),
        (b"good\0film", "holds a NUL at character 4"),
        (b"a" * (documents.MAX_FILE_BYTES + 1), "is larger than 16 MiB"),
        (None, "No such file"),
    ],
)
@pytest.mark.parametrize("option", ["--file", "--lines"])
def test_what_is_no_document_is_refused(capsys, tmp_path, option, content, message):
    path = tmp_path / "document.txt"
    if content is not None:
        path.write_bytes(content)
    status, out, err = run(capsys, "predict", tmp_path / "no bundle is opened for it", option, path)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert str(path) in err


def test_calls_that_say_it_twice_or_not_at_all(capsys, tmp_path, report):
    for wrong in (["a text", "--file", report], ["--file", report, "--lines", report], [], ["x", "--lines", report]):
        status, _, err = run(capsys, "predict", tmp_path, *wrong)
        assert (status, "--file (one document each" in err) == (2, True)
    assert "only once" in run(capsys, "predict", tmp_path, "--file", "-", "--file", "-")[2]
    assert "a directory" in run(capsys, "predict", tmp_path, "--file", tmp_path)[2]
