"""The layers of a sentence-transformers directory behind its pooling, as one module from vector to vector."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from ..errors import ModelError

# the name under which the encoder carries them, so that passes see their linears as any other
SENTENCE_LAYERS = "sentence_layers"


class Dense(torch.nn.Module):
    """A linear layer, its activation, and the input added again where the config says so.

    Parameters have the names that sentence-transformers saves them by.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool, activation: torch.nn.Module, residual: bool
    ) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(in_features, out_features, bias=bias)
        self.activation_function = activation
        self.adds_input = residual
        self.residual = None
        if residual and in_features != out_features:
            self.residual = torch.nn.Linear(in_features, out_features, bias=False)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[batch, in_features] to [batch, out_features]."""
        result: torch.Tensor = self.activation_function(self.linear(vectors))
        if not self.adds_input:
            return result
        return result + (vectors if self.residual is None else self.residual(vectors))


class LayerNorm(torch.nn.Module):
    """LayerNorm over a vector, under the name that sentence-transformers saves it by."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(dimension)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[batch, dimension] to the same."""
        result: torch.Tensor = self.norm(vectors)
        return result


class Normalize(torch.nn.Module):
    """Vectors of length 1."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[batch, dimension] to the same."""
        return F.normalize(vectors, dim=-1)


class Truncate(torch.nn.Module):
    """The first numbers of a vector (Matryoshka), not normalized again."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def extra_repr(self) -> str:
        """What ``repr`` says of it, and with it a model's digest."""
        return str(self.dimensions)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[batch, any] to [batch, dimensions]."""
        return vectors[:, : self.dimensions]


def activation_named(path: str, where: str) -> torch.nn.Module:
    """The activation that a config names by its class ("torch.nn.modules.activation.Tanh").

    Raises:
        ModelError: it is code of the model's own, or no class that can be made without arguments.
    """
    name = path.rpartition(".")[2]
    found: Any = getattr(torch.nn, name, None) if path.startswith("torch.nn.") else None
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ModelError(
            f"{where}: activation function {path!r}: expected a class of torch.nn, such as "
            "'torch.nn.modules.activation.Tanh' (code of a model's own is not run)"
        )
    try:
        made: torch.nn.Module = found()
    except TypeError as error:
        raise ModelError(f"{where}: activation function {path!r} can't be made without arguments: {error}") from error
    return made
