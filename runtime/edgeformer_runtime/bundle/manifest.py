"""manifest.json as frozen types: what a bundle says of itself.

The reader is strict about what it uses and silent about keys it doesn't know inside ``recipe``, ``metrics``
and ``sources``, which are opaque here. ``bundle.py`` checks paths, sizes and hashes; this file checks shape
and types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Tuple, Union

from ..errors import RuntimeBundleError
from ..files.listing import FileEntry
from ..preprocess.text import TextPreprocess

FORMAT_VERSION = 1
FORMATS = ("onnx", "tensorrt", "tflite", "coreml")
ACTIVATIONS = ("sigmoid", "softmax", "tanh")
MAX_BUNDLE_BYTES = 16 << 30  # of all files together, unpacked
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")

# What preprocessing feeds an input with, so that nobody has to guess it from the name.
ROLES = ("tokens", "mask", "token_types", "pixels", "samples", "features")
THRESHOLD = 0.5
LONGEST_ANSWER = 30

Dim = Union[int, str]


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor. A string in ``shape`` names a dimension that varies ("batch", "sequence")."""

    name: str
    dtype: str  # numpy's name: "int64", "float32"
    shape: Tuple[Dim, ...]
    pad_value: float = 0  # inputs only: what fills up a dimension to a length that the variant has
    role: Optional[str] = None  # inputs only: what feeds it, one of ROLES; None: the caller alone knows


@dataclass(frozen=True)
class Verification:
    """How a variant compared, sample by sample, with the compressed torch model and with the labels."""

    executed_by: str  # e.g. "onnxruntime 1.31.1 (CPUExecutionProvider), x86_64"
    on_device: bool  # False where a stand-in executed it (Core ML's numpy evaluator, TensorRT's graph on CPU)
    samples: int
    cosine_min: float
    cosine_mean: float
    max_abs_error: float
    agreement: Optional[float] = None  # share of equal predictions with the uncompressed model
    metric_name: Optional[str] = None
    metric: Optional[float] = None
    metric_drop: Optional[float] = None  # uncompressed minus this variant
    similarity_min: Optional[float] = None  # as cosine_min, but short outputs count with the length of usual ones
    similarity_p01: Optional[float] = None  # what 99 % of the samples exceed


@dataclass(frozen=True)
class VariantEntry:
    """One exported form of the model."""

    name: str
    format: str  # one of FORMATS
    engine: str  # which kind of engine runs it: "onnxruntime" | "tensorrt" | "litert" | "coreml"
    path: str  # the model file, or the .mlpackage directory, relative to the bundle
    size_bytes: int
    sequence_lengths: Tuple[int, ...] = ()  # the static lengths it has; () = any length
    fixed_batch: Optional[int] = None  # None = any batch size
    weight_formats: Mapping[str, int] = field(default_factory=dict)  # "int8" -> number of layers
    engine_packages: Tuple[str, ...] = ()  # import names that give right results; () = any of the engine's
    min_engine_version: Optional[str] = None
    targets: Tuple[str, ...] = ()  # devices it was made for
    settings: Mapping[str, Any] = field(default_factory=dict)  # what the exporter was told
    verification: Optional[Verification] = None


@dataclass(frozen=True)
class TaskSpec:
    """What the model does, and what its outputs mean."""

    name: str  # a key of tasks.TASKS, or of a later release
    labels: Tuple[str, ...] = ()  # label of each output index (classification)
    multi_label: bool = False  # sigmoid per label instead of softmax over labels
    regression: bool = False  # one float, no labels
    activation: Optional[str] = None  # one of ACTIVATIONS, on the outputs; None: softmax, sigmoid or none, by the above
    similarity: Optional[str] = None  # one of SIMILARITIES: how embeddings are compared
    threshold: float = THRESHOLD  # the least score of a label that applies, with multi_label
    longest_answer: int = LONGEST_ANSWER  # tokens of an answer at most


@dataclass(frozen=True)
class Manifest:
    """The whole of manifest.json."""

    name: str
    task: TaskSpec
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    files: Tuple[FileEntry, ...]
    variants: Tuple[VariantEntry, ...]
    preprocess: Optional[TextPreprocess] = None
    targets: Tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)  # digests of model, adapters, evaluation data
    metrics: Mapping[str, Any] = field(default_factory=dict)  # of the uncompressed and the compressed model
    producer: str = ""  # "edgeformer 0.1.0"
    format_version: int = FORMAT_VERSION

    def variant(self, name: str) -> VariantEntry:
        """The variant called ``name``; raises RuntimeBundleError naming those that exist."""
        for entry in self.variants:
            if entry.name == name:
                return entry
        names = ", ".join(entry.name for entry in self.variants)
        raise RuntimeBundleError(f"bundle {self.name!r} has no variant {name!r}: it has {names}")
