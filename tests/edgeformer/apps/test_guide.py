"""What `edgeformer inspect BUNDLE --for` says. The code that it prints is compiled by tests/apps."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgeformer.apps import PLATFORMS
from edgeformer.apps.task import FIELDS, Row
from edgeformer.cli import main
from edgeformer_runtime import Bundle, BundleWriter
from edgeformer_runtime.bundle.manifest import State

ROOT = Path(__file__).resolve().parents[3]
BUNDLES = ROOT / "tests" / "conformance" / "bundles"
KOTLIN = ROOT / "tests" / "apps" / "kotlin"
GUIDE = ROOT / "examples" / "android_guide.md"
ROWS = {
    "audio-classification": ("audio", "Classification"),
    "feature-extraction": ("text", "Embedding"),
    "image-classification": ("image", "Classification"),
    "image-text-similarity": ("image_text", "ImageTextSimilarity"),
    "question-answering": ("question", "Answer"),
    "several-labels": ("text", "Classification"),
    "tensors": ("tensors", None),
    "text-classification": ("text", "Classification"),
    "token-classification": ("text", "TokenClassification"),
    "zero-shot-image-classification": ("image", "Classification"),
}


def rewritten(source, output, change):
    """A bundle like ``source`` with the variants that ``change`` makes of its first."""
    with Bundle.open(source) as bundle:
        manifest, content = bundle.manifest, {entry.path: bundle.read(entry.path) for entry in bundle.manifest.files}
    with BundleWriter(output) as writer:
        for name, data in content.items():
            if not name.startswith("golden"):
                (writer.directory / name).parent.mkdir(parents=True, exist_ok=True)
                (writer.directory / name).write_bytes(data)
        first = manifest.variants[0]
        for entry in change(first):
            for name, graph in entry.graphs.items():
                file = writer.directory / graph.path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content[first.graphs[name].path])
        return writer.publish(replace(manifest, variants=tuple(change(first))))


def moved(entry, name, **values):
    graphs = {key: replace(graph, path=f"variants/{name}/model") for key, graph in entry.graphs.items()}
    return replace(entry, name=name, graphs=graphs, **values)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_task_has_its_row_and_its_result(name):
    with Bundle.open(BUNDLES / name) as bundle:
        row = Row.of(bundle.manifest)
    assert (row.kind, row.result) == ROWS[name]
    assert row.fields == FIELDS.get(row.result, ())


def test_a_model_of_pairs_alone_and_a_regression():
    with Bundle.open(BUNDLES / "text-classification") as bundle:
        manifest = bundle.manifest
    text = replace(manifest.text, single=False, pair=True)
    pairs = replace(manifest, preprocess=(text,), task=replace(manifest.task, regression=True, labels=()))
    assert (Row.of(pairs).kind, Row.of(pairs).result) == ("pair", "Regression")


def test_every_bundle_has_a_guide_for_the_web(capsys):
    for path in sorted(BUNDLES.iterdir()):
        assert main(["inspect", str(path), "--for", "web", "--json"]) == 0
        guide = json.loads(capsys.readouterr().out)
        assert all(item["runs"] for item in guide["variants"])
        assert guide["engines"][0]["size_bytes"] > 9_000_000
        assert 8 <= len(guide["code"].splitlines()) <= 16
        assert all(len(line) <= 120 for line in guide["code"].splitlines())
        written = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        assert {guide["sizes"][f"{what}_bytes"] for what in ("bundle", "carried", "needed")} == {written}
        assert sum(guide["sizes"]["needed_by_part"].values()) == written


def variants(first):
    return (
        moved(first, "onnx"),
        moved(first, "tflite", engine="litert", format="tflite", min_engine_version="2.1.0"),
        moved(first, "newer", engine="litert", format="tflite", min_engine_version="2.10"),
        moved(first, "coreml", engine="coreml", format="coreml", min_engine_version="iOS18"),
        moved(first, "tensorrt", engine="tensorrt", format="tensorrt"),
    )


def test_variants_run_where_their_engine_is_and_is_new_enough(tmp_path, capsys):
    with rewritten(BUNDLES / "tensors", tmp_path / "bundle", variants) as bundle:
        names = {
            name: [item.name for item in platform.running(bundle.manifest)] for name, platform in PLATFORMS.items()
        }
        reason = PLATFORMS["web"].problem(bundle.manifest.variant("newer"))
    assert names == {"android": ["tflite", "onnx"], "ios": ["coreml"], "web": ["tflite", "onnx"]}
    assert reason == "it needs litert 2.10, and @litertjs/core is at 2.5.3"
    assert main(["inspect", str(tmp_path / "bundle"), "--for", "web"]) == 0
    said = capsys.readouterr().out
    assert "it is made for tensorrt, and a web page has litert, onnxruntime" in said
    assert "onnx runs in another engine" in said
    assert "npm install @litertjs/core@2.5.3" in said
    assert 'new LiteRt(litert, { version: "2.5.3" })' in said


def test_an_app_carries_the_whole_bundle_where_it_is_opened_whole(tmp_path, capsys):
    with rewritten(BUNDLES / "tensors", tmp_path / "bundle", variants):
        pass
    for platform, is_whole in (("android", True), ("ios", True), ("web", False)):
        assert main(["inspect", str(tmp_path / "bundle"), "--for", platform, "--json"]) == 0
        sizes = json.loads(capsys.readouterr().out)["sizes"]
        assert sizes["needed_bytes"] < sizes["bundle_bytes"]
        assert sizes["carried_bytes"] == sizes["bundle_bytes" if is_whole else "needed_bytes"]
        assert main(["inspect", str(tmp_path / "bundle"), "--for", platform]) == 0
        said = capsys.readouterr().out
        assert ("the whole bundle; " in said) == is_whole
        assert ("coreml needs iOS18: make it the app's minimum deployment target" in said) == (platform == "ios")


def test_every_kotlin_is_the_one_that_the_aar_is_made_for():
    """A compiler reads no classes of a Kotlin that is newer by more than one minor version."""
    made_for = re.findall(r"-language-version (\S+) -api-version (\S+)", (KOTLIN / "aar.sh").read_text("utf-8"))
    assert made_for == [("2.2", "2.2")]
    for project in (ROOT / "examples" / "android", ROOT / "runtime" / "android"):
        plugins = set(
            re.findall(r'kotlin\.\w+"\) version "(\d+\.\d+)', (project / "build.gradle.kts").read_text("utf-8"))
        )
        assert plugins == {"2.2"}
    for text in (PLATFORMS["android"].steps(PLATFORMS["android"].engines[0])[0].text, GUIDE.read_text("utf-8")):
        assert "Kotlin 2.2 or newer" in text


def test_the_sample_and_the_guides_ask_for_the_same_versions():
    examples = ROOT / "examples"
    said = {
        "android": [examples / "android_guide.md", examples / "android" / "app" / "build.gradle.kts"],
        "web": [examples / "web_guide.md"],
    }
    for platform, documents in said.items():
        text = "\n".join(document.read_text("utf-8") for document in documents)
        for engine in PLATFORMS[platform].engines:
            joint = ":" if platform == "android" else r"(?:@| )"
            assert set(re.findall(rf"{re.escape(engine.library)}{joint}(\d+\.\d+\.\d+)", text)) == {engine.version}


def test_steps_of_a_model_are_not_run_by_apps(tmp_path):
    with Bundle.open(BUNDLES / "tensors") as bundle:
        first = bundle.manifest.variants[0]
    graphs = {name: replace(graph, states=(State("x", "y", 1, "append"),)) for name, graph in first.graphs.items()}
    assert "in steps" in PLATFORMS["web"].problem(replace(first, graphs=graphs))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tensors", "--for", "symbian"), "platform 'symbian': expected one of android, ios, web"),
        (("nowhere", "--for", "web"), "is no bundle: compile the model first, with --for web"),
        (("tensors", "--for", "ios"), "no variant runs in an iOS app (onnx: it is made for onnxruntime"),
    ],
)
def test_what_cannot_be_said_is_refused(arguments, said, capsys):
    assert main(["inspect", str(BUNDLES / arguments[0]), *arguments[1:]]) == 2
    assert said in capsys.readouterr().err
