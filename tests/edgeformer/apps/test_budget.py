"""A bundle for the apps of one platform: what it holds, and a budget for all of it."""

import json

import pytest

import edgeformer as ef
from edgeformer.apps import PLATFORMS
from edgeformer.apps.needs import needed_files, size_bytes_by_part
from edgeformer.cli import main
from edgeformer.errors import GateError
from edgeformer.report.sections import asked
from edgeformer_runtime import Bundle

LOOSE = "gate.min_cosine_integer_activations=0.9"


def compile_for(platform, model, output, formats=(), **options):
    recipe = ef.Recipe.preset("int8").with_setting(LOOSE)
    options = {"sequence_lengths": [16], **options}
    return ef.compile(model, output=output, recipe=recipe, platform=platform, formats=formats, **options)


def bundle_bytes(bundle):
    return sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file() and "report" not in file.name)


@pytest.fixture(scope="module")
def both(tiny_model, tmp_path_factory):
    return compile_for("web", tiny_model, tmp_path_factory.mktemp("bundles") / "web", formats=["tflite", "onnx"])


@pytest.mark.parametrize(("platform", "format"), [("android", "tflite"), ("ios", "coreml"), ("web", "tflite")])
def test_it_holds_what_the_platform_s_first_engine_runs(tiny_model, tmp_path, platform, format):
    bundle = compile_for(platform, tiny_model, tmp_path / "out", max_size_bytes=1_000_000)
    assert [item.format for item in bundle.manifest.variants] == [format]
    assert bundle.manifest.recipe["export"]["platform"] == platform
    assert bundle.manifest.recipe["gate"]["max_bundle_bytes"] == 1_000_000
    assert "max_size_bytes" not in bundle.manifest.recipe["gate"]


def test_devices_choose_among_what_the_platform_runs(tiny_model, tmp_path):
    bundle = compile_for("ios", tiny_model, tmp_path / "out", devices=["iphone-13"])
    (variant,) = bundle.manifest.variants
    assert (variant.name, variant.min_engine_version, variant.targets) == ("coreml", "iOS18", ("iphone-13",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"platform": "symbian"}, "expected one of android, ios, web"),
        ({"platform": "ios", "formats": ["tflite"]}, "format 'tflite': an iOS app runs coreml"),
        ({"platform": "ios", "devices": ["pixel-8"]}, r"none of the devices \(pixel-8\)"),
        ({"platform": "android", "formats": ["tensorrt"]}, "format 'tensorrt'"),
    ],
)
def test_what_does_not_run_there_is_refused_before_any_work(tiny_model, tmp_path, options, message):
    with pytest.raises(ef.InputError, match=message):
        compile_for(options.pop("platform"), tiny_model, tmp_path / "out", **options)


def test_the_budget_counts_every_file_of_the_bundle(tiny_model, tmp_path, both):
    size = bundle_bytes(both)
    variants = sum(item.size_bytes for item in both.manifest.variants)
    assert size > variants
    report = json.loads((both.path / "report.json").read_text())
    assert report["bundle_bytes"] == size
    formats = ["tflite", "onnx"]
    # One byte too few for manifest, golden rows and tokenizer, too few for the two variants, and for one of them.
    for limit, said in ((size - 40, "golden"), (variants - 1, "tflite 0"), (1000, "tflite: 0")):
        with pytest.raises(GateError) as refused:
            compile_for("web", tiny_model, tmp_path / "out", formats, max_size_bytes=limit)
        assert said in str(refused.value)
        assert f"at most {limit / 1e6:.2f} MB" in str(refused.value)
        assert "--format" in str(refused.value)
        assert not (tmp_path / "out").exists()
    enough = compile_for("web", tiny_model, tmp_path / "out", formats, max_size_bytes=size + 100)
    assert bundle_bytes(enough) <= size + 100
    section = asked(json.loads((enough.path / "report.json").read_text()))
    assert any(row[0] == "the bundle" for row in section.blocks[0].rows)


def test_a_search_goes_on_where_the_bundle_around_a_variant_is_too_large(tiny_model, tmp_path, monkeypatch):
    """Both candidates pass; only the second one's bundle is small enough."""
    from edgeformer import compiler
    from edgeformer.variants.search import Candidate

    recipe = ef.Recipe.preset("int8").with_setting(LOOSE)
    large = ef.Recipe.preset("float32").with_setting(LOOSE)
    plain = compile_for("web", tiny_model, tmp_path / "plain")
    limit = bundle_bytes(plain) + 200
    two = [Candidate(name, replaced(one, limit), is_one_of_many=True) for name, one in (("a", large), ("b", recipe))]
    monkeypatch.setattr(compiler, "candidates", lambda *_: iter(two))
    bundle = compile_for("web", tiny_model, tmp_path / "out")
    assert bundle.manifest.variants[0].weight_formats
    assert bundle_bytes(bundle) <= limit


def replaced(recipe, limit):
    for setting in (f"gate.max_bundle_bytes={limit}", "export.platform=web", "export.sequence_lengths=16"):
        recipe = recipe.with_setting(setting)
    return recipe


def test_from_the_command_line(tiny_model, tmp_path, capsys):
    command = ["compile", str(tiny_model), "-o", str(tmp_path / "out"), "--for", "android", "--max-size", "2MB"]
    assert main([*command, "--sequence-lengths", "16", "--set", LOOSE, "--recipe", "int8"]) == 0, (
        capsys.readouterr().err
    )
    with Bundle.open(tmp_path / "out") as bundle:
        assert [item.name for item in bundle.manifest.variants] == ["tflite"]


def test_files_of_other_variants_are_not_needed(both):
    tflite, onnx = both.manifest.variant("tflite"), both.manifest.variant("onnx")
    for kept, other in ((tflite, onnx), (onnx, tflite)):
        paths = [entry.path for entry in needed_files(both.manifest, [kept])]
        assert kept.path in paths
        assert other.path not in paths
        assert {"golden.json", "preprocess/tokenizer.json"} <= set(paths)
    sizes = size_bytes_by_part(both.manifest.files)
    assert sum(sizes.values()) == sum(entry.bytes for entry in both.manifest.files)
    assert sizes["variants"] == tflite.size_bytes + onnx.size_bytes
    assert sizes["other"] == 0


def test_every_platform_has_engines_for_formats_that_are_made():
    from edgeformer_converters.base import CONVERTERS

    for platform in PLATFORMS.values():
        assert {engine.format for engine in platform.engines} <= set(CONVERTERS)
