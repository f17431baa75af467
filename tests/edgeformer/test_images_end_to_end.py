"""Pictures from files to labels: trained, adapted, pruned, recovered, quantized, published, opened and asked."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import edgeformer as ef
from edgeformer.loading.load import load_model
from edgeformer.recipe import Recipe
from edgeformer_runtime import Session
from edgeformer_runtime.cli import main as device
from edgeformer_runtime.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[1]))
import image_files

RECIPE = """
version = 1
[[steps]]
pass = "merge_lora"
[[steps]]
pass = "prune_structured"
heads = 0.25
channels = 0.25
[[steps]]
pass = "recover"
epochs = 1
[[steps]]
pass = "quantize"
algorithm = "gptq"
[gate]
min_cosine_integer_activations = 0.9
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    return {
        "model": image_files.save_model(root / "model"),
        "calibration": image_files.save_pictures(root / "calibration", rows=20, seed=1),
        "evaluation": image_files.save_pictures(root / "evaluation", rows=8, seed=2),
    }


@pytest.fixture(scope="module")
def trained(files):
    """The tiny model, its head fitted to the colours of the calibration's pictures."""
    from edgeformer.data.encoding import encode
    from edgeformer.rows.samples import read_samples

    model = load_model(files["model"])
    samples = read_samples(files["calibration"], model.task, evaluation=True)
    rows = encode(model.signature, samples, 1)
    pixels = torch.from_numpy(np.concatenate([row["pixel_values"] for row in rows.feeds]))
    import transformers

    module = transformers.ViTForImageClassification.from_pretrained(files["model"])
    optimizer = torch.optim.Adam(module.classifier.parameters(), 0.05)
    for _ in range(60):
        loss = module(pixel_values=pixels, labels=torch.tensor(rows.targets)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.save_pretrained(files["model"])
    return files


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "colours"
    ef.compile(
        trained["model"], output=path, recipe=Recipe.from_toml(RECIPE), formats=("onnx", "tflite", "coreml"),
        calibration=trained["calibration"], evaluation=trained["evaluation"], max_drop=0.2,
    )  # fmt: skip
    return path


def test_files_arrays_and_pictures_get_one_answer(bundle, trained):
    path = trained["evaluation"] / "red" / "0.png"
    with Image.open(path) as picture, Session.open(bundle) as session:
        picture.load()
        first, second, third = session.predict([path, np.asarray(picture), picture])
    assert first == second == third
    assert first.label == "red"


@pytest.mark.parametrize("variant", ["onnx", "tflite"])
def test_the_device_names_colours(bundle, trained, variant):
    wanted = [
        (color, file) for color in image_files.COLORS for file in sorted((trained["evaluation"] / color).iterdir())
    ]
    with Session.open(bundle, variant=variant) as session:
        found = [result.label for result in session.predict([file for _, file in wanted])]
    assert np.mean([a == b for a, (b, _) in zip(found, wanted, strict=True)]) > 0.8


def test_the_manifest_and_the_report_say_pictures(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert [item["kind"] for item in manifest["preprocess"]] == ["image"]
    assert manifest["task"]["name" if "name" in manifest["task"] else "kind"] == "image-classification"
    assert "image-classification" in (bundle / "report.html").read_text()


def test_the_report_shows_examples(bundle, trained):
    found = json.loads((bundle / "report.json").read_text())["examples"]
    assert (found["of"], found["samples"], len(found["rows"])) == ("pictures", 24, 12)
    first = [bool(row["otherwise"]) for row in found["rows"]]
    assert first == sorted(first, reverse=True)
    assert sum(first) == min(12, found["otherwise"])
    with Session.open(bundle, variant="onnx") as session:
        for row in found["rows"]:
            (said,) = session.predict([trained["evaluation"] / row["file"]])
            assert row["variants"]["onnx"]["labels"] == [said.label]
            assert row["variants"]["onnx"]["score"] == pytest.approx(said.score, abs=1e-4)
            assert row["target"]["labels"] == [row["file"].split("/")[0]]
    page = (bundle / "report.html").read_text()
    assert page.count('src="data:image/') == page.count("<img") == 12
    assert str(trained["evaluation"]) not in page
    assert "examples" not in (bundle / "manifest.json").read_text()


def test_the_command_line_reads_pictures(bundle, trained, capsys):
    assert device(["predict", str(bundle), "--image", str(trained["evaluation"] / "blue" / "1.png")]) == 0
    assert capsys.readouterr().out.startswith("blue")
    assert device(["predict", str(bundle), "a text"]) == 2
    assert "takes pictures, not texts" in capsys.readouterr().err


def test_what_is_no_picture_is_refused(bundle, tmp_path):
    (tmp_path / "no.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    with Session.open(bundle) as session, pytest.raises(InputError, match=r"no\.png"):
        session.predict([tmp_path / "no.png"])


def test_two_compiles_give_equal_bytes(bundle, trained, tmp_path):
    ef.compile(
        trained["model"], output=tmp_path / "again", recipe=Recipe.from_toml(RECIPE),
        formats=("onnx", "tflite", "coreml"),
        calibration=trained["calibration"], evaluation=trained["evaluation"], max_drop=0.2,
    )  # fmt: skip
    a, b = ((path / "manifest.json").read_bytes() for path in (bundle, tmp_path / "again"))
    assert a == b
