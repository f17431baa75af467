"""Directories of models of images: equal to transformers with its own processor, or refused by name."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeformer.data.encoding import encode
from edgeformer.errors import InputError, ModelError
from edgeformer.loading.load import load_model
from edgeformer.rows.samples import Sample, Samples, read_samples
from edgeformer.variants.verification import run_torch

sys.path.insert(0, str(Path(__file__).parents[2]))
import image_files
import tiny_images

CLASSIFIERS = tuple(name for name in tiny_images.IMAGES if "Classification" in tiny_images.MODELS[name][0])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return image_files.save_pictures(tmp_path_factory.mktemp("pictures"), rows=2)


def transformers_says(directory, files, kind):
    import transformers
    from PIL import Image

    processor = transformers.AutoImageProcessor.from_pretrained(directory)
    model = getattr(transformers, kind).from_pretrained(directory).eval()
    with torch.no_grad():
        return [
            model(**processor(Image.open(file).convert("RGB"), return_tensors="pt"), return_dict=True) for file in files
        ]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_those_of_transformers(tmp_path, pictures, name):
    directory = image_files.save_model(tmp_path, name)
    model = load_model(directory)
    assert (model.task.name, model.task.labels) == ("image-classification", tuple(image_files.COLORS))
    samples = read_samples(pictures, model.task, evaluation=True)
    outputs = run_torch(model, encode(model.signature, samples, 1).feeds)
    wanted = transformers_says(directory, [row.file for row in samples.rows], tiny_images.MODELS[name][0])
    for ours, theirs in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(ours["logits"], theirs.logits[0].numpy(), rtol=1e-3, atol=1e-4)


def test_a_backbone_gives_embeddings(tmp_path, pictures):
    import transformers

    directory = image_files.save_model(tmp_path)
    transformers.ViTModel.from_pretrained(directory, add_pooling_layer=False).save_pretrained(directory)
    model = load_model(directory)
    assert (model.task.name, model.outputs[0].shape) == ("image-feature-extraction", ("batch", tiny_images.WIDTH))
    samples = read_samples(pictures, model.task, evaluation=False)
    outputs = run_torch(model, encode(model.signature, samples, 1).feeds)
    wanted = transformers_says(directory, [row.file for row in samples.rows], "ViTModel")
    for ours, theirs in zip(outputs, wanted, strict=True):
        np.testing.assert_allclose(ours["embedding"], theirs.last_hidden_state[0, 0].numpy(), rtol=1e-3, atol=1e-4)


def test_without_a_processor_pixels_are_unknown(tmp_path):
    directory = image_files.save_model(tmp_path)
    (directory / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"has no preprocessor_config\.json, which says how pictures become pixels"):
        load_model(directory)


def test_a_processor_of_another_size_is_named(tmp_path):
    directory = image_files.save_model(tmp_path)
    path = directory / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "size": {"height": 32, "width": 32}}))
    with pytest.raises(ModelError, match=r"the family 'vit' doesn't run on pixel_values of 3x32x32 alone"):
        load_model(directory)


def test_settings_of_texts_are_refused(tmp_path):
    with pytest.raises(ModelError, match="pair, pooling: only models of texts alone have that"):
        load_model(image_files.save_model(tmp_path), pair=True, pooling="cls")


def test_texts_are_no_rows_of_pictures(tmp_path):
    model = load_model(image_files.save_model(tmp_path))
    with pytest.raises(InputError, match="the model reads files, these rows are texts"):
        encode(model.signature, Samples("rows.csv", (Sample("hello"),), ""), 1)


def test_a_damaged_picture_is_named(tmp_path, pictures):
    model = load_model(image_files.save_model(tmp_path / "model"))
    whole = (pictures / "red/0.png").read_bytes()
    broken = tmp_path / "red" / "broken.png"
    broken.parent.mkdir()
    broken.write_bytes(whole[: len(whole) // 2])
    samples = read_samples(tmp_path / "red", model.task, evaluation=False)
    with pytest.raises(InputError, match=r"broken\.png"):
        encode(model.signature, samples, 1)
