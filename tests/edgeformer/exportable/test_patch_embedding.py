"""A convolution over patches that don't overlap, and the Linear in its place."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.exportable.patch_embedding import PatchEmbedding, cuts_patches, linear_patches
from edgeformer.model.layers import quantizable_layers

sizes = st.integers(1, 5)


@given(
    patch=st.tuples(sizes, sizes), grid=st.tuples(sizes, sizes), rest=st.tuples(sizes, sizes), rows=sizes,
    channels=st.integers(1, 4), bias=st.booleans(), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_equal_to_the_convolution(patch, grid, rest, rows, channels, bias, seed):
    """Sides that no number of patches fills, among them."""
    torch.manual_seed(seed)
    convolution = torch.nn.Conv2d(channels, 6, patch, patch, bias=bias, dtype=torch.float64)
    sides = [count * size + more % size for count, size, more in zip(grid, patch, rest, strict=True)]
    pixels = torch.randn(rows, channels, *sides, dtype=torch.float64)
    made = PatchEmbedding(convolution)(pixels)
    assert made.shape == (rows, 6, *grid)
    torch.testing.assert_close(made, convolution(pixels), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "does"),
    [
        ({"kernel_size": 4, "stride": 4}, True),
        ({"kernel_size": 4, "stride": 4, "padding": "valid"}, True),
        ({"kernel_size": (4, 2), "stride": (4, 2)}, True),
        ({"kernel_size": 4, "stride": 2}, False),
        ({"kernel_size": 4, "stride": 4, "padding": 1}, False),
        ({"kernel_size": 2, "stride": 2, "dilation": 2}, False),
        ({"kernel_size": 2, "stride": 2, "groups": 2}, False),
    ],
)
def test_which_convolutions_are_replaced(settings, does):
    layer = torch.nn.Conv2d(4, 8, **settings)
    module = torch.nn.Sequential(layer)
    linear_patches(module)
    assert cuts_patches(layer) == does == isinstance(module[0], PatchEmbedding)


def test_it_is_quantized_like_any_linear_and_asked_for_its_dtype():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, 4).half())
    module[0].weight.requires_grad_(False)
    linear_patches(module)
    assert list(quantizable_layers(module)) == ["0.linear"]
    assert module[0].weight.dtype == torch.float16
    assert module[0].linear.bias.requires_grad
    assert not module[0].linear.weight.requires_grad
