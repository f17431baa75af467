"""Every error that edgeformer raises on purpose, in one place: one tree under ``EdgeformerError``.

Exporters add ``ExportError`` and ``MissingExtraError`` in ``edgeformer_converters.base``: that module imports
torch, which this one must not.
"""

from __future__ import annotations

from edgeformer_runtime.errors import (
    BundleNotFoundError,
    EdgeformerError,
    EngineError,
    InputError,
    InternalError,
    RuntimeBundleError,
    SensorError,
    TargetError,
)

__all__ = [
    "AdapterError",
    "BundleNotFoundError",
    "EdgeformerError",
    "EngineError",
    "GateError",
    "InputError",
    "InternalError",
    "MissingWeightsError",
    "ModelError",
    "RecipeError",
    "RuntimeBundleError",
    "SamplesError",
    "SensorError",
    "TargetError",
]


class ModelError(InputError):
    """A model can't be loaded, or is of a kind that edgeformer doesn't compile."""


class MissingWeightsError(ModelError):
    """A model directory without weights."""


class AdapterError(InputError):
    """An adapter is damaged, unsupported, or doesn't fit the base model."""


class RecipeError(InputError):
    """A recipe has an unknown key, a value out of range, or steps in an order that can't work."""


class SamplesError(InputError):
    """Calibration or evaluation data is missing, malformed, or doesn't fit the task."""


class GateError(EdgeformerError):
    """The compressed model or a variant lost more than was allowed: nothing was published."""

    exit_status = 1
