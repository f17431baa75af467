"""From a picture to the tensor: sizes, crops, arithmetic, names of what can't be read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.preprocess.image_encoder import ImageEncoder, ImagePreprocess, ImageResize

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "rescale": 1.0}


def encode(image, **numbers):
    return ImageEncoder(ImagePreprocess(**{**PLAIN, **numbers}))([image])["pixel_values"][0]


def test_a_batch_has_the_shape_and_the_name_that_the_numbers_say():
    preprocess = ImagePreprocess((0.5,) * 3, (0.5,) * 3, ImageResize((6, 4), "exact", "bilinear"), input="pixels")
    encoder = ImageEncoder(preprocess)
    feeds = encoder([np.zeros((9, 9, 3), np.uint8), np.full((2, 3), 255, np.uint8)])
    assert list(feeds) == ["pixels"]
    assert feeds["pixels"].shape == (2, 3, 6, 4)
    assert feeds["pixels"].dtype == np.float32
    assert (feeds["pixels"][0] == -1).all()
    assert (feeds["pixels"][1] == 1).all()
    assert encoder([])["pixels"].shape == (0, 3, 6, 4)
    one = encoder.encode(np.full((2, 3), 255, np.uint8))
    np.testing.assert_array_equal(one.feeds["pixels"], feeds["pixels"][1:])
    assert (one.tokens, one.truncated) == (None, False)


def test_grey_models_get_one_channel():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert encode(pixels, crop=(1, 3), color="L", mean=(0.0,), std=(1.0,)).tolist() == [[[76.0, 150.0, 29.0]]]


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(1 / 512, 1))
def test_the_arithmetic_is_transformers(mean, std, rescale):
    """Doubles for the scale, float32 for the rest."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    got = encode(pixels, crop=(16, 16), mean=(mean,) * 3, std=(std,) * 3, rescale=rescale)
    scaled = (pixels.astype(np.float64) * rescale).astype(np.float32)
    np.testing.assert_array_equal(got[1], (scaled - np.float32(mean)) / np.float32(std))


@pytest.mark.parametrize(
    ("sides", "crop", "expected"),
    [
        ((5, 1), (3, 1), [1, 2, 3]),
        ((6, 1), (3, 1), [1, 2, 3]),  # 3 to spare: 1 above, 2 below
        ((3, 1), (6, 1), [-1, -1, 0, 1, 2, -1]),  # 3 are missing: 2 above, 1 below
        ((3, 1), (5, 1), [-1, 0, 1, 2, -1]),
    ],
)
def test_crops_and_black_edges(sides, crop, expected):
    pixels = np.arange(1, sides[0] + 1, dtype=np.uint8).reshape(sides)
    assert (encode(pixels, crop=crop)[0, :, 0] - 1).tolist() == expected
    assert (encode(pixels.T, crop=crop[::-1])[0, 0] - 1).tolist() == expected


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 64))
def test_the_shortest_side_becomes_what_was_asked(height, width, edge):
    place = ImagePreprocess(**PLAIN, resize=ImageResize((edge,), "shortest", "box"), crop=(edge, edge)).place(
        height, width
    )
    assert min(place.resized) == edge
    assert max(place.resized) == int(edge * max(height, width) / min(height, width))
    assert place.part_size == (edge, edge)
    assert place.offset == (0, 0)


def test_an_elongated_picture_costs_what_its_crop_costs():
    """224 x 16,777,216 pixels would be 11 GB; one that were longer still is refused."""
    numbers = {"resize": ImageResize((224,), "shortest", "bicubic"), "crop": (224, 224)}
    assert encode(np.full((1, 74_898), 9, np.uint8), **numbers).tolist() == np.full((3, 224, 224), 9.0).tolist()
    with pytest.raises(InputError, match=r"image 0: of 74899 x 1 pixels, is too elongated.*16777216"):
        encode(np.zeros((1, 74_899), np.uint8), **numbers)


def test_what_can_t_be_read_is_named(tmp_path):
    encoder = ImageEncoder(ImagePreprocess(**PLAIN, crop=(2, 2)))
    good = np.zeros((2, 2), np.uint8)
    with pytest.raises(InputError, match=r"^image 1: "):
        encoder([good, b"no picture"])
    with pytest.raises(InputError, match=r"cat\.png: can.t be opened: No such file"):
        encoder([good, tmp_path / "cat.png"])
    for one in (good, "cat.png", b""):
        with pytest.raises(InputError, match="put one picture in a list"):
            encoder(one)
