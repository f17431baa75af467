"""The convolution that cuts an image into patches, as the Linear that it is.

Where the stride is the kernel's size, patches don't overlap, and each output is a product of one patch with the
kernel (Dosovitskiy et al. 2021, section 3.1). As a Linear it is quantized, measured and carried like any other.

Legend: B rows, C channels, P × Q a patch, N × M patches, E values of an embedding.
"""

from __future__ import annotations

import torch

from .stand_in import StandIn


class PatchEmbedding(StandIn):
    """Stands where such a convolution stood; its ``linear`` has the kernel [E, C·P·Q] as its weight."""

    def __init__(self, convolution: torch.nn.Conv2d) -> None:
        super().__init__()
        kernel, bias = convolution.weight, convolution.bias
        self.channels, *self.patch = kernel.shape[1:]
        self.linear = torch.nn.Linear(
            kernel[0].numel(), kernel.shape[0], bias=bias is not None, device="meta", dtype=kernel.dtype
        )
        self.linear.weight = torch.nn.Parameter(kernel.detach().flatten(1), requires_grad=kernel.requires_grad)
        if bias is not None:
            self.linear.bias = torch.nn.Parameter(bias.detach(), requires_grad=bias.requires_grad)

    @property
    def weight(self) -> torch.Tensor:
        """The Linear's [E, C·P·Q]: families ask for its dtype."""
        weight: torch.Tensor = self.linear.weight
        return weight

    def original(self) -> torch.nn.Conv2d:
        """The convolution."""
        height, width = self.patch
        made = torch.nn.Conv2d(
            self.channels, self.linear.out_features, (height, width), (height, width),
            bias=self.linear.bias is not None, device="meta", dtype=self.weight.dtype,
        )  # fmt: skip
        kernel = self.weight.detach().reshape(-1, self.channels, height, width)
        made.weight = torch.nn.Parameter(kernel, requires_grad=self.weight.requires_grad)
        if self.linear.bias is not None:
            made.bias = torch.nn.Parameter(self.linear.bias.detach(), requires_grad=self.linear.bias.requires_grad)
        return made

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """float [B, C, height, width] to [B, E, N, M]; what doesn't fill a patch is left out, as in a convolution."""
        height, width = self.patch
        rows, columns = int(pixels.shape[2]) // height, int(pixels.shape[3]) // width
        pixels = pixels[:, :, : rows * height, : columns * width]
        # in two steps: Core ML has five dimensions at most, and a patch cut in one step would need six
        strips = pixels.reshape(-1, self.channels, rows, height, columns * width).transpose(1, 2)
        strips = strips.reshape(-1, self.channels * height, columns, width).transpose(1, 2)  # [B·N, M, C·P, Q]
        embedded = self.linear(strips.reshape(-1, rows * columns, self.channels * height * width))
        made: torch.Tensor = embedded.transpose(1, 2).reshape(-1, embedded.shape[2], rows, columns)
        return made


def linear_patches(module: torch.nn.Module) -> None:
    """Replace, in place, each convolution in ``module`` whose patches don't overlap by a ``PatchEmbedding``."""
    for path, layer in list(module.named_modules()):
        if type(layer) is torch.nn.Conv2d and cuts_patches(layer):
            parent, _, leaf = path.rpartition(".")
            setattr(module.get_submodule(parent), leaf, PatchEmbedding(layer))


def cuts_patches(layer: torch.nn.Conv2d) -> bool:
    """Whether every pixel goes into one patch: stride as large as the kernel, no padding, dilation or groups."""
    plain = layer.padding in ("valid", (0, 0)) and layer.dilation == (1, 1) and layer.groups == 1
    return plain and layer.stride == layer.kernel_size
