"""Image processors of model directories: the numbers read make the pixels that transformers' own processor makes."""

import functools
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageOps
from transformers import AutoImageProcessor

from edgeformer.errors import ModelError
from edgeformer.model.image_files import load_image_preprocess
from edgeformer_runtime.preprocess.image_encoder import ImageEncoder

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
STEPS = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}


def square(side):
    return {"height": side, "width": side}


def families(side):
    """What the first models of the seven families were published with, at any size."""
    return {
        "vit": {**STEPS, **HALVES, "image_processor_type": "ViTImageProcessor", "resample": 2, "size": square(side)},
        "deit": {
            **STEPS, **IMAGENET, "feature_extractor_type": "DeiTFeatureExtractor", "resample": 3,
            "size": side * 8 // 7, "do_center_crop": True, "crop_size": side,
        },
        "dinov2": {
            **STEPS, **IMAGENET, "image_processor_type": "BitImageProcessor", "resample": 3,
            "size": {"shortest_edge": side * 8 // 7}, "do_center_crop": True, "crop_size": square(side),
            "do_convert_rgb": True,
        },
        "beit": {
            **STEPS, **HALVES, "feature_extractor_type": "BeitFeatureExtractor", "resample": 2, "size": side,
            "do_center_crop": False, "crop_size": side,
        },
        "swin": {**STEPS, **IMAGENET, "image_processor_type": "ViTImageProcessor", "resample": 3, "size": square(side)},
        "clip": {
            **STEPS, **CLIP, "image_processor_type": "CLIPImageProcessorFast", "resample": 3, "size": side,
            "do_center_crop": True, "crop_size": side, "do_convert_rgb": True,
        },
        "siglip": {
            **STEPS, **HALVES, "image_processor_type": "SiglipImageProcessor", "resample": 3, "size": square(side),
        },
    }  # fmt: skip


def pictures(count, longest):
    """``count`` files of odd sizes, of every kind of pixels, some rotated by EXIF."""
    random = np.random.default_rng(count)
    fixed = [(1, 1), (1, 9), (9, 1), (3, longest), (longest, 3), (2, 2), (longest, longest - 1)]
    for index in range(count):
        height, width = fixed[index] if index < len(fixed) else random.integers(1, longest, 2)
        coarse = random.integers(0, 256, (*random.integers(1, 40, 2), 4), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((int(width), int(height)), 0 if index % 2 else 3)
        mode = ("RGB", "L", "RGBA", "P", "LA", "1", "CMYK", "RGB")[index % 8]
        image = (smooth.convert("RGB") if mode in ("P", "1", "CMYK") else smooth).convert(mode)
        exif = Image.Exif()
        exif[274] = index % 9
        more = {"transparency": 0} if mode == "P" and index % 16 == 3 else {}
        file = io.BytesIO()
        image.save(file, "TIFF" if mode == "CMYK" else "PNG", exif=exif, **more)
        yield f"{index}: {mode} {width} x {height}", file.getvalue()


def transformers_pixels(processor, content):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if not processor.do_convert_rgb:  # its caller must
        image = image.convert("RGB")
    return processor(image, return_tensors="np")["pixel_values"][0]


def written(directory, config, name="preprocessor_config.json"):
    (directory / name).write_text(json.dumps(config))
    return directory


def check(directory, files):
    encoder = ImageEncoder(load_image_preprocess(directory))
    processor = AutoImageProcessor.from_pretrained(directory, backend="pil")
    for name, content in files:
        expected = transformers_pixels(processor, content)
        np.testing.assert_array_equal(encoder([content])["pixel_values"][0], expected, err_msg=name)


FEW = functools.lru_cache(None)(lambda: tuple(pictures(48, 130)))


@pytest.mark.parametrize("family", families(28))
def test_pixels_are_transformers_bit_by_bit(family, tmp_path):
    check(written(tmp_path, families(28)[family]), FEW())


@pytest.mark.slow
@pytest.mark.parametrize("family", families(224))
def test_pixels_are_transformers_at_full_size(family, tmp_path):
    check(written(tmp_path, families(224)[family]), pictures(72, 1000))  # each kind of pixels with each rotation


@pytest.mark.parametrize("name", ["ViT", "DeiT", "Bit", "Beit", "CLIP", "Siglip"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"size": 30},
        {"size": [20, 30]},
        {"size": 30, "default_to_square": False, "do_center_crop": True, "crop_size": 41},
        {"size": {"shortest_edge": 21}, "do_center_crop": True, "crop_size": [50, 20]},
        {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 33, "width": 40}},
        {"do_rescale": False},
        {"do_normalize": False, "rescale_factor": 0.01},
        {"do_rescale": False, "do_normalize": False},
        {"do_center_crop": None, "size": square(26), "do_normalize": None},
        {"resample": 0},
        {"resample": 1},
        {"resample": 4, "image_mean": 0.25, "image_std": [0.1, 0.2, 0.3]},
        {"do_convert_rgb": True, "do_reduce_labels": True, "data_format": "channels_first"},
        {"do_convert_rgb": False},
        {"do_convert_rgb": None, "size": 30, "default_to_square": None, "do_center_crop": True, "crop_size": 40},
    ],
)
def test_settings_mean_what_they_mean_to_transformers(name, config, tmp_path):
    config = {"image_processor_type": f"{name}ImageProcessor", **config}
    if name == "Siglip" and config.get("size") == 30 and "do_center_crop" not in config:  # the shortest side, no crop
        with pytest.raises(ModelError, match="different shapes"):
            load_image_preprocess(written(tmp_path, config))
        return
    check(written(tmp_path, config), FEW()[5:12])


def test_grey_models(tmp_path):
    config = {"image_processor_type": "ViTImageProcessor", "image_mean": [0.1], "image_std": [0.3], "size": 8}
    preprocess = load_image_preprocess(written(tmp_path, config))
    assert preprocess.shape == (1, 8, 8)
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    for _, content in FEW():
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB").convert("L")
        expected = processor(image, return_tensors="np")["pixel_values"]
        np.testing.assert_array_equal(ImageEncoder(preprocess)([content])["pixel_values"], expected)


@pytest.mark.parametrize(("family", "shape"), [("swin", (224, 224)), ("deit", (224, 224)), ("siglip", (224, 224))])
def test_a_family_names_the_class_where_no_file_does(family, shape, tmp_path):
    written(tmp_path, {"model_type": family}, "config.json")
    assert load_image_preprocess(tmp_path) is None
    check(written(tmp_path, {"do_resize": True}), FEW()[:9])
    assert load_image_preprocess(tmp_path).shape == (3, *shape)


def test_a_processor_inside_processor_config_comes_first(tmp_path):
    written(tmp_path, {"image_processor_type": "ViTImageProcessor"})
    written(tmp_path, {"processor_class": "CLIPProcessor"}, "processor_config.json")
    assert load_image_preprocess(tmp_path).shape == (3, 224, 224)
    inside = {"image_processor": {"image_processor_type": "ViTImageProcessor", "size": 32}}
    check(written(tmp_path, inside, "processor_config.json"), FEW()[:9])
    assert load_image_preprocess(tmp_path).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"do_pad": True, "pad_size": 8}, "'do_pad'"),
        ({"size_divisor": 32}, "'size_divisor'"),
        ({"crop_pct": 0.9}, "'crop_pct'"),
        ({"do_flip_channel_order": True}, "BGR"),
        ({"use_square_size": True}, "'use_square_size'"),
        ({"size": {"longest_edge": 8}}, "'size'"),
        ({"size": {"shortest_edge": 8, "longest_edge": 9}}, "'size'"),
        ({"size": {"shortest_edge": 8}}, "different shapes"),
        ({"size": {"height": 8.5, "width": 8}}, "'size'"),
        ({"size": "8"}, "'size'"),
        ({"size": True}, "'size'"),
        ({"size": 0}, "resize.size"),
        ({"size": 10**6}, "resize.size"),
        ({"crop_size": {"shortest_edge": 8}, "do_center_crop": True}, "'crop_size'"),
        ({"do_center_crop": True}, "crop_size beside"),
        ({"do_resize": 1}, "'do_resize'"),
        ({"resample": 6}, "'resample'"),
        ({"resample": None}, "'resample'"),
        ({"resample": "bicubic"}, "'resample'"),
        ({"image_mean": [0.5, 0.5]}, "mean"),
        ({"image_mean": ["0.5"] * 3}, "'image_mean'"),
        ({"image_mean": None}, "'image_mean'"),
        ({"image_std": [0, 1, 1]}, "std"),
        ({"rescale_factor": "1/255"}, "'rescale_factor'"),
        ({"image_processor_type": "ConvNextImageProcessor"}, "ConvNextImageProcessor"),
        ({"image_processor_type": None}, "'llama'"),
        ({"image_processor_type": None, "auto_map": {"AutoImageProcessor": "code.Mine"}}, "code.Mine"),
    ],
)
def test_what_no_bundle_carries_is_refused_by_name(change, named, tmp_path):
    written(tmp_path, {"model_type": "llama"}, "config.json")
    config = {"image_processor_type": "ViTImageProcessor", **change}
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: ") as caught:
        load_image_preprocess(written(tmp_path, config))
    assert named in str(caught.value)


def test_keys_that_are_off_are_no_matter(tmp_path):
    config = {"image_processor_type": "ViTImageProcessor", "do_pad": False, "pad_size": 3, "size_divisor": None}
    check(written(tmp_path, config), FEW()[:3])
