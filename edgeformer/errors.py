"""Errors of the host compiler, on top of the runtime's tree."""

from __future__ import annotations

from edgeformer_runtime.errors import (
    BundleNotFoundError,
    EdgeformerError,
    EngineError,
    InputError,
    RuntimeBundleError,
    SensorError,
    TargetError,
)


class ModelError(InputError):
    """The model directory or module can't be used as given."""


class AdapterError(InputError):
    """An adapter doesn't fit the model, is damaged, or has no effect."""


class RecipeError(InputError):
    """A recipe has an unknown key or an impossible value."""


class SamplesError(InputError):
    """A calibration or evaluation file can't be used."""


class GateError(EdgeformerError):
    """The result missed what was asked of it; nothing was published."""


__all__ = [
    "AdapterError",
    "BundleNotFoundError",
    "EdgeformerError",
    "EngineError",
    "GateError",
    "InputError",
    "ModelError",
    "RecipeError",
    "RuntimeBundleError",
    "SamplesError",
    "SensorError",
    "TargetError",
]
