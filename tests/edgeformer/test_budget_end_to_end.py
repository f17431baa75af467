"""The compile guide's budget commands, as typed, on a tiny real model: every pass, real exports, both reports."""

import json
import random

import pytest

from edgeformer.cli import main
from edgeformer_runtime import Bundle, Session

WORDS = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Three files, no row in two."""
    generator = random.Random(11)
    directory = tmp_path_factory.mktemp("rows")
    paths = {}
    for name, count in (("train", 120), ("calibration", 120), ("evaluation", 60)):
        lines = [
            {"text": f"{name[0]} " + " ".join(generator.choices(WORDS.split(), k=9)), "label": i % 2}
            for i in range(count)
        ]
        paths[name] = directory / f"{name}.jsonl"
        paths[name].write_text("\n".join(map(json.dumps, lines)))
    return paths


def arguments(model, output, rows, *more):
    loose = ["--set", "gate.min_cosine_integer_activations=0.5", "--format", "onnx", "--sequence-lengths", "16"]
    data = ["--calibration", rows["calibration"], "--training", rows["train"], "--evaluation", rows["evaluation"]]
    return [str(part) for part in ("compile", model, "-o", output, *loose, *data, *more)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "passes"),
    [
        ("auto", ["merge_lora", "quantize"]),
        ("tiny", ["merge_lora", "prune_structured", "recover", "trim_vocabulary", "quantize"]),
    ],
)
def test_from_a_budget_to_a_bundle(tiny_model, rows, tmp_path, capsys, recipe, passes):
    output = tmp_path / "out"
    budget = ("--recipe", recipe, "--max-size", "1MB", "--max-drop", "1.0")
    assert main(arguments(tiny_model, output, rows, *budget)) == 0, capsys.readouterr().err
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert [item["name"] for item in report["passes"]] == passes
    assert report["search"]["candidates"][-1]["chosen"]
    assert report["variants"][0]["statistics"]["claim"]
    assert report["metrics"]["uncompressed"]["latency"]["median_ms"] > 0
    assert "<svg" in (output / "report.html").read_text(encoding="utf-8")
    with Bundle.open(output) as bundle:
        assert bundle.manifest.variants[0].size_bytes <= 1_000_000
    with Session.open(output, threads=1) as session:
        assert session.predict(["a good film"])[0]
    assert main(["report", str(output), "-o", str(tmp_path / "again.html")]) == 0


def test_a_size_that_nothing_meets_names_what_binds(tiny_model, rows, tmp_path, capsys):
    assert main(arguments(tiny_model, tmp_path / "out", rows, "--recipe", "auto", "--max-size", "500B")) == 1
    error = capsys.readouterr().err
    assert "candidates met the budget; nothing was published" in error
    assert "integers alone take" in error
    assert not (tmp_path / "out").exists()


def test_sensitivity_prints_a_table_and_writes_the_profile(tiny_model, rows, tmp_path, capsys):
    path = tmp_path / "profile.json"
    assert main(["sensitivity", str(tiny_model), "--calibration", str(rows["calibration"]), "-o", str(path)]) == 0
    assert "attention.self.query" in capsys.readouterr().out
    assert json.loads(path.read_text())["rows"] > 32
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode  # readable by whom the umask says
    assert {item.name for item in tmp_path.iterdir()} == {"profile.json", "any"}
