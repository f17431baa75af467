"""What a converter is: from a compressed torch module to one file (or package) that an engine runs.

A converter never chooses integers: it carries those of the ``QuantizedLinear`` and ``QuantizedEmbedding`` modules that
it finds, or refuses, naming layer, operator and format.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

from edgeformer_runtime.bundle.manifest import TensorSpec, VariantEntry
from edgeformer_runtime.device.target import Target
from edgeformer_runtime.engines import ENGINES, get_engine
from edgeformer_runtime.engines.base import LoadedModel
from edgeformer_runtime.errors import EdgeformerError, InputError

from .ops import IntegerWeight, QuantizedEmbedding, QuantizedLinear


class ExportError(EdgeformerError):
    """A format can't express the model, or an exporter's own check of its file failed."""


class MissingExtraError(InputError):
    """A backend isn't installed; the message names the extra that brings it."""


@dataclass(frozen=True)
class VariantPlan:
    """One variant to be made: which converter, told what. ``settings`` is plain JSON data, part of a cache key."""

    name: str  # unique in a bundle: "onnx", "tensorrt", "tflite", "tflite-int8-tensor", "coreml"
    format: str  # of the converter
    targets: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    # "tensor": the compiler quantizes a copy of the model per tensor for this one; "float": the copy keeps its floats
    granularity: str | None = None


@dataclass(frozen=True)
class ExportRequest:
    """Everything an exporter may know.

    ``module`` is on the CPU, in eval mode, takes the tensors of ``inputs`` positionally, in that order, and returns a
    tuple in the order of ``outputs``. Which dimensions vary is said by the names in the inputs' shapes: "batch", and
    at most one more, whose lengths are ``lengths``; a format with static shapes makes one signature or shape for each.
    For text models the attention mask arrives as 0/1 of shape [batch, sequence] and the module itself turns it into an
    additive float mask, so no exporter has to handle a family's mask code.
    """

    module: torch.nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    example_inputs: tuple[torch.Tensor, ...]  # one per input, batch 2
    sequence_lengths: tuple[int, ...]  # ascending, of the length dimension; last = longest
    plan: VariantPlan

    @property
    def length_dimension(self) -> str | None:
        """What the inputs call the dimension that varies beside "batch" ("sequence", "frames"); None for images.

        Raises:
            ExportError: they name more than one, of which nobody says how long they get together.
        """
        names = dict.fromkeys(size for spec in self.inputs for size in spec.shape if isinstance(size, str))
        varying = [name for name in names if name != "batch"]
        if len(varying) > 1:
            raise ExportError(
                f"format {self.plan.format!r}: the inputs have the dimensions {', '.join(varying)}: expected at most "
                "one that varies beside 'batch': give the others a number"
            )
        return varying[0] if varying else None

    @property
    def lengths(self) -> tuple[int, ...]:
        """``sequence_lengths`` where an input has a dimension that takes them, else ()."""
        return () if self.length_dimension is None else self.sequence_lengths

    def check_lengths(self) -> None:
        """Raise ExportError where an input has a length that varies, and no lengths are given for it."""
        if self.length_dimension is not None and not self.sequence_lengths:
            raise ExportError(
                f"format {self.plan.format!r}: its files are made for known lengths: expected at least one for the "
                f"dimension {self.length_dimension!r}, got none"
            )

    def shape(self, spec: TensorSpec, length: int | None) -> tuple[int, ...]:
        """The numbers of ``spec``'s shape for batch 1 and a ``length``; None where no input has one.

        Raises:
            ExportError: a dimension without a number.
        """
        sizes = {"batch": 1, self.length_dimension: length}
        shape = [sizes.get(size) if isinstance(size, str) else size for size in spec.shape]
        for named, size in zip(spec.shape, shape, strict=True):
            if size is None:
                raise ExportError(
                    f"format {self.plan.format!r}: input {spec.name!r} has the dimension {named!r} without a size: "
                    "expected a number, 'batch', or a dimension for which lengths are given"
                )
        return tuple(size for size in shape if size is not None)


@dataclass(frozen=True)
class ExportedVariant:
    """What an exporter wrote. Paths are relative to the directory that it was given."""

    path: str  # "model.onnx", "model.tflite", "model.mlpackage"
    engine: str
    sequence_lengths: tuple[int, ...] = ()
    fixed_batch: int | None = None
    engine_packages: tuple[str, ...] = ()
    min_engine_version: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # goes into the manifest: opset, precision, profiles
    facts: Mapping[str, Any] = field(default_factory=dict)  # goes into the report: node counts, notes
    weight_formats: Mapping[str, int] = field(default_factory=dict)  # of weights without integers, "float16": how many


@dataclass(frozen=True)
class HostEngine:
    """What executes a format's files on the host: ``load(path, entry, threads)``.

    ``as_on_device`` is False for a stand-in, which shows numbers, and neither speed nor the device's own rounding.
    """

    load: Callable[[Path, VariantEntry, int], LoadedModel]
    as_on_device: bool


def runtime_engine(name: str, as_on_device: bool = True) -> HostEngine:
    """The runtime's engine called ``name``."""
    return HostEngine(lambda path, entry, threads: get_engine(name).load(path, entry, threads), as_on_device)


@dataclass(frozen=True)
class NoSettings:
    """The table of a backend that has no export settings for users."""


class Converter(Protocol):
    """One backend, with every fact of it that others go by. Instances have no state."""

    format: str  # its key in CONVERTERS
    file_format: str  # what a manifest calls its files
    engine: str  # what its files are made for, a key of the runtime's ENGINES
    extra: str  # the extra of the host wheel that installs its packages
    packages: tuple[str, ...]  # import names it needs
    distributions: tuple[str, ...]  # whose versions decide what is exported, as pip names them
    by_default: bool  # made where neither devices nor formats are named
    on_request: bool  # made only where its format is named
    integer_activations: bool  # its engine quantizes activations
    half_precision: bool  # its engine computes in float16 what the host executes in float32
    round_channels_to: int  # its kernels like channels in multiples of it
    settings: type[Any]  # dataclass: its table of a recipe, [export.<format>]; a field that is None isn't asked for

    def host_engine(self) -> HostEngine:
        """What executes its files here."""

    def plans(self, targets: Sequence[Target]) -> tuple[VariantPlan, ...]:
        """The variants worth making for these targets; for no targets at all, the general one."""

    def alternatives(self, plan: VariantPlan) -> tuple[VariantPlan, ...]:
        """The plan, then more exact and slower ones: the first that is exact enough is taken."""

    def check(self, request: ExportRequest) -> None:
        """Refuse early, in milliseconds, what this format can't carry; raises ExportError naming the layer."""

    def export(self, request: ExportRequest, directory: Path) -> ExportedVariant:
        """Write the variant into ``directory``; raises ExportError."""

    def read_weights(self, path: Path, layers: Mapping[str, IntegerWeight]) -> dict[str, IntegerWeight]:
        """Read integers and scales back out of an exported file.

        ``layers`` gives names, shapes and formats to look for; values come from the file alone. A layer that the
        file doesn't hold in that form is left out of the result.
        """


def require(converter: Converter) -> None:
    """Raise MissingExtraError unless the converter's packages are installed (they are not imported)."""
    missing = [name for name in converter.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"format {converter.format!r} needs {', '.join(missing)}, which is not installed: "
            f"pip install 'edgeformer[{converter.extra}]'"
        )


def quantized_layers(module: torch.nn.Module) -> dict[str, QuantizedLinear | QuantizedEmbedding]:
    """Every quantized layer of ``module`` by its path, shared (tied) ones once, in order of appearance."""
    return {
        name: layer for name, layer in module.named_modules() if isinstance(layer, QuantizedLinear | QuantizedEmbedding)
    }


# in which the uncompressed model is timed, and layers are measured where nothing else is asked for
REFERENCE_FORMAT = "onnx"
CONVERTERS = {
    "onnx": ("onnx.export", "OnnxConverter"),
    "tensorrt": ("onnx.tensorrt", "TensorRTConverter"),
    "tflite": ("litert.export", "LiteRTConverter"),
    "coreml": ("coreml.export", "CoreMLConverter"),
    "tflite-fp16": ("litert.half", "LiteRTHalfConverter"),
}


def get_converter(format: str) -> Converter:
    """The converter of a format; its backend's packages are imported when it exports, not here.

    Raises InputError, with those that exist, for a format of another release.
    """
    if format not in CONVERTERS:
        raise InputError(f"format {format!r}: expected one of {', '.join(CONVERTERS)}")
    module, name = CONVERTERS[format]
    converter: Converter = getattr(import_module(f".{module}", __package__), name)()
    return converter


def converter_of(entry: VariantEntry) -> Converter:
    """What made a variant: of TFLite's files, those with float16 weights have a converter of their own."""
    is_half = entry.format == "tflite" and "float16" in entry.weight_formats
    return get_converter("tflite-fp16" if is_half else entry.format)


def made_for(converter: Converter, target: Target) -> bool:
    """Whether ``target`` declares an engine that runs the converter's files."""
    return any(target.engine(name) is not None for name in ENGINES[converter.engine].declared_as)
