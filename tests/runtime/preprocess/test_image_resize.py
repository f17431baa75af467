"""Resizing against Pillow, byte for byte."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer_runtime.preprocess.image_preprocess import FILTERS
from edgeformer_runtime.preprocess.image_resize import resize

pytest.importorskip("PIL")
sys.path.insert(0, str(Path(__file__).parent))
import pillow_reference

SIDES = st.integers(1, 64)


def picture(height, width, channels=3, seed=0, values=256):
    step = 255 // (values - 1)
    return (np.random.default_rng(seed).integers(0, values, (height, width, channels)) * step).astype(np.uint8)


def ours(pixels, size, filter_name, start=(0, 0), part=None):
    return resize(pixels.transpose(2, 0, 1), size, filter_name, start, part or size).transpose(1, 2, 0)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(FILTERS), st.sampled_from([1, 3]), st.sampled_from([2, 256]))
def test_equals_pillow(height, width, new_height, new_width, filter_name, channels, values):
    """Two values: the sums leave 0…255 most often, and are cut between the passes."""
    pixels = picture(height, width, channels, seed=height * 64 + width, values=values)
    size = (new_height, new_width)
    np.testing.assert_array_equal(ours(pixels, size, filter_name), pillow_reference.resized(pixels, size, filter_name))


@given(st.data(), SIDES, SIDES, SIDES, SIDES, st.sampled_from(FILTERS))
def test_a_part_is_a_part_of_the_whole(data, height, width, new_height, new_width, filter_name):
    pixels = picture(height, width)
    top, left = data.draw(st.integers(0, new_height - 1)), data.draw(st.integers(0, new_width - 1))
    rows, columns = data.draw(st.integers(1, new_height - top)), data.draw(st.integers(1, new_width - left))
    part = ours(pixels, (new_height, new_width), filter_name, (top, left), (rows, columns))
    whole = ours(pixels, (new_height, new_width), filter_name)
    np.testing.assert_array_equal(part, whole[top : top + rows, left : left + columns])


@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize(
    ("sides", "size"),
    [
        ((1, 1), (224, 224)),
        ((3, 1000), (224, 40)),
        ((1000, 3), (40, 224)),
        ((301, 402), (224, 224)),
        ((2, 200_000), (3, 1)),  # a matrix of one output
        ((1, 300_000), (1, 70)),
        ((5, 7), (5, 7)),
    ],
)
def test_equals_pillow_at_the_extremes(sides, size, filter_name):
    pixels = picture(*sides)
    np.testing.assert_array_equal(ours(pixels, size, filter_name), pillow_reference.resized(pixels, size, filter_name))


@pytest.mark.parametrize(("height", "rows_first"), [(58, False), (59, True)])
def test_which_axis_comes_first(height, rows_first):
    """Rows do where they lose more than twice what columns lose: here 40 of 48 and of 49, against 24."""
    pixels = picture(height, 34, values=2)
    size = (10, 10)
    once = (10, 34) if rows_first else (height, 10)
    expected = ours(ours(pixels, once, "bicubic"), size, "bicubic")
    np.testing.assert_array_equal(ours(pixels, size, "bicubic"), expected)
    other = (height, 10) if rows_first else (10, 34)
    assert (ours(ours(pixels, other, "bicubic"), size, "bicubic") != expected).any()


@pytest.mark.parametrize("cubic_a", [-1.0, -0.75, 0.0])
def test_the_cubic_parameter_changes_edges_and_nothing_flat(cubic_a):
    edge = np.repeat(np.array([[[0], [255]]], np.uint8), 3, axis=1)
    flat = np.full((9, 7, 1), 77, np.uint8)

    def made(pixels, a):
        return resize(pixels.transpose(2, 0, 1), (8, 8), "bicubic", (0, 0), (8, 8), a)

    assert (made(flat, cubic_a) == 77).all()
    assert (made(edge, cubic_a) != made(edge, -0.5)).any()
