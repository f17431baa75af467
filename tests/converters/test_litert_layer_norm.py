from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeformer_converters.litert.layer_norm import DeviationsFirst, layer_norms


@given(
    width=st.integers(2, 40),
    offset=st.sampled_from([0.0, 3.0, 1000.0]),
    affine=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_it_computes_layer_norm(width: int, offset: float, affine: bool, bias: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    norm = torch.nn.LayerNorm(width, eps=1e-5, elementwise_affine=affine, bias=bias)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    x = torch.randn(2, 3, width, generator=generator) + offset
    expected = torch.nn.functional.layer_norm(
        x.double(), (width,), *(None if p is None else p.double() for p in (norm.weight, norm.bias)), eps=1e-5
    )
    # the mean is rounded to float32, and 1/sigma enlarges that
    sigma = (x.double().var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    gamma = 1.0 if norm.weight is None else norm.weight.abs().max().item()
    allowed = 1e-6 * (1 + x.abs().max() / sigma * gamma) + 1e-6 * expected.abs()
    assert ((DeviationsFirst(norm)(x) - expected).abs() <= allowed).all()


def test_subclasses_and_norms_over_several_axes_are_left_alone() -> None:
    class Other(torch.nn.LayerNorm):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    plain = torch.nn.LayerNorm(4)
    assert layer_norms(torch.nn.Sequential(plain, Other(4), torch.nn.LayerNorm((3, 4)))) == [plain]
