"""The numbers of image preprocessing in a manifest: round trip, and what is refused."""

import json

import pytest

from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.preprocess.image_preprocess import ImagePreprocess, ImageResize

GOOD = ImagePreprocess(
    (0.48, 0.45, 0.4), (0.26, 0.26, 0.27), ImageResize((224,), "shortest", "bicubic"), crop=(224, 192), alpha="drop"
)


def data(**changes):
    value = json.loads(json.dumps(GOOD.to_dict()))
    for key, change in changes.items():
        target, name = (value["resize"], key[7:]) if key.startswith("resize_") else (value, key)
        target[name] = change
    return value


def test_round_trip():
    assert ImagePreprocess.from_dict(data()) == GOOD
    assert GOOD.shape == (3, 224, 192)
    assert data()["kind"] == "image"


def test_what_is_missing_has_defaults():
    read = ImagePreprocess.from_dict({"mean": [0], "std": [1], "color": "L", "crop": [8, 8]})
    assert (read.layout, read.input, read.alpha, read.rescale) == ("NCHW", "pixel_values", "white", 1 / 255)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"kind": "audio"}, "kind"),
        ({"color": "BGR"}, "color"),
        ({"alpha": "black"}, "alpha"),
        ({"layout": "NHWC"}, "layout"),
        ({"input": ""}, "input"),
        ({"mean": [0.5]}, "mean"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean"),
        ({"mean": [True, 0, 0]}, "mean"),
        ({"std": [1, 1, 0]}, "std"),
        ({"std": [1, 1, -1]}, "std"),
        ({"std": [1, 1, 10**400]}, "std"),
        ({"std": [1, 1, 1e-60]}, "std"),
        ({"mean": [0, 0, -1e7]}, "mean"),
        ({"rescale": 0}, "rescale"),
        ({"rescale": float("inf")}, "rescale"),
        ({"crop": None}, "crop"),
        ({"crop": [224]}, "crop"),
        ({"crop": [0, 224]}, "crop"),
        ({"crop": [224, 100_000]}, "crop"),
        ({"resize": []}, "resize"),
        ({"resize_mode": "longest"}, "resize.mode"),
        ({"resize_size": [224, 224]}, "resize.size"),
        ({"resize_size": []}, "resize.size"),
        ({"resize_size": [2.5]}, "resize.size"),
        ({"resize_filter": "spline"}, "resize.filter"),
        ({"resize_antialias": False}, "resize.antialias"),
        ({"resize_cubic_a": -2}, "resize.cubic_a"),
        ({"resize_rounding": "float32"}, "resize.rounding"),
        ({"resize_more": 1}, "more"),
        ({"padding": 1}, "padding"),
    ],
)
def test_refusals_name_the_place(changes, place):
    with pytest.raises(RuntimeBundleError, match=r"^manifest.json: preprocess\[0\]") as caught:
        ImagePreprocess.from_dict(data(**changes), "manifest.json: preprocess[0]")
    assert place in str(caught.value)


def test_a_size_that_varies_is_refused():
    with pytest.raises(InputError, match="different shapes"):
        ImagePreprocess((0.5,) * 3, (0.5,) * 3, ImageResize((224,), "shortest", "bicubic"))
    with pytest.raises(InputError, match="different shapes"):
        ImagePreprocess((0.5,) * 3, (0.5,) * 3)
