"""What a bundle says of itself, as frozen types: format 2. FORMAT.md is its text, for readers in any language.

``manifest_reader`` makes these of manifest.json, ``manifest_text`` the other way round; ``bundle`` checks the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Union

from ..errors import EngineError, RuntimeBundleError
from ..files.listing import FileEntry
from .needs import FullAttention, LocalAttentionNeeds, TensorRTNeeds

if TYPE_CHECKING:
    from ..preprocess.registry import Preprocess
    from ..preprocess.text import TextPreprocess

FORMAT_VERSION = 2
FORMATS = ("onnx", "tensorrt", "tflite", "coreml")
ACTIVATIONS = ("sigmoid", "softmax", "tanh")
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
# What preprocessing feeds an input with, so that nobody has to guess it from the name.
ROLES = ("tokens", "mask", "token_types", "pixels", "samples", "features", "state", "cross")
UPDATES = ("append", "slot", "implicit")
MAX_BUNDLE_BYTES = 16 << 30  # of all files together, unpacked
THRESHOLD = 0.5
LONGEST_ANSWER = 30

BATCH = "batch"
SEQUENCE = "sequence"
MAIN = "main"  # the graph that is the model as one function

Dim = Union[int, str]


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor. A string in ``shape`` names a dimension that varies ("batch", "sequence", "samples", …)."""

    name: str
    dtype: str  # numpy's name: "int64", "float32"
    shape: Tuple[Dim, ...]
    pad_value: float = 0  # inputs only: what fills up a dimension to a length that the variant has
    role: Optional[str] = None  # inputs only: what feeds it, one of ROLES; None: the caller alone knows


def in_words(specs: Tuple[TensorSpec, ...]) -> str:
    """Tensors with their types and shapes, for a terminal."""
    shapes = [", ".join(map(str, spec.shape)) for spec in specs]
    return "; ".join(f"{spec.name} {spec.dtype} [{shape}]" for spec, shape in zip(specs, shapes))


@dataclass(frozen=True)
class State:
    """A tensor that a step of a graph hands to the next: a key/value cache. Reserved: this runtime runs no steps."""

    input: str
    output: str
    axis: int  # the one that grows
    update: str  # one of UPDATES: the output is longer than the input, has a new slot filled, or stays in the engine
    longest: Optional[int] = None


@dataclass(frozen=True)
class Graph:
    """One function of a variant. ``inputs`` and ``outputs`` are None where they are those of the manifest."""

    path: str  # the model file, or the .mlpackage directory, relative to the bundle
    inputs: Optional[Tuple[TensorSpec, ...]] = None
    outputs: Optional[Tuple[TensorSpec, ...]] = None
    states: Tuple[State, ...] = ()


def one_graph(path: str) -> Dict[str, Graph]:
    """The graphs of a variant that is one file."""
    return {MAIN: Graph(path)}


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
    graphs: Mapping[str, Graph]
    size_bytes: int
    lengths: Mapping[str, Tuple[int, ...]] = field(default_factory=dict)  # the sizes that a named dimension can have
    fixed_batch: Optional[int] = None  # None = any batch size
    weight_formats: Mapping[str, int] = field(default_factory=dict)  # "int8" -> number of layers
    engine_packages: Tuple[str, ...] = ()  # import names that give right results; () = any of the engine's
    min_engine_version: Optional[str] = None
    targets: Tuple[str, ...] = ()  # devices it was made for
    settings: Mapping[str, Any] = field(default_factory=dict)  # what the exporter was told; nothing acts on it
    verification: Optional[Verification] = None
    tensorrt: Optional[TensorRTNeeds] = None
    local_attention: Optional[LocalAttentionNeeds] = None
    full_attention: Optional[FullAttention] = None

    @property
    def path(self) -> str:
        """The file, or folder, of its main graph; raises EngineError where it has none."""
        if MAIN not in self.graphs:
            raise EngineError(f"variant {self.name!r}: has graphs {', '.join(self.graphs)} and none called {MAIN!r}")
        return self.graphs[MAIN].path

    def of_graph(self, name: str) -> VariantEntry:
        """The same variant with one of its graphs alone, as its main one."""
        return replace(self, graphs={MAIN: self.graphs[name]})

    def lengths_of(self, dimension: str) -> Tuple[int, ...]:
        """The sizes that it has of a named dimension, ascending; () for any."""
        return self.lengths.get(dimension, ())

    def longest(self, dimension: str) -> Optional[int]:
        """The largest size of a named dimension; None where it takes any."""
        return max(self.lengths_of(dimension), default=None)


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
    scale: float = 1.0  # of pictures with texts: logit = scale · cosine + bias
    bias: float = 0.0
    hypothesis_template: Optional[str] = None  # the text that stands for a label, with {} in its place
    label_vectors: Optional[str] = None  # path of float32 [labels, dimensions], little-endian: the labels' texts


@dataclass(frozen=True)
class Skipped:
    """A part of a manifest that this release doesn't know, with the reason; what is asked of it is refused."""

    part: str  # "variant", "preprocess", "task" or "key"
    name: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The whole of manifest.json."""

    name: str
    task: TaskSpec
    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    files: Tuple[FileEntry, ...]
    variants: Tuple[VariantEntry, ...]
    preprocess: Tuple[Preprocess, ...] = ()
    targets: Tuple[str, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)  # digests of model, adapters, evaluation data
    metrics: Mapping[str, Any] = field(default_factory=dict)  # of the uncompressed and the compressed model
    producer: str = ""  # "edgeformer 0.1.0"
    format_version: int = FORMAT_VERSION
    skipped: Tuple[Skipped, ...] = ()

    def variant(self, name: str) -> VariantEntry:
        """The variant called ``name``; raises RuntimeBundleError naming those that exist, or why it was skipped."""
        for entry in self.variants:
            if entry.name == name:
                return entry
        for item in self.skipped:
            if (item.part, item.name) == ("variant", name):
                raise RuntimeBundleError(f"bundle {self.name!r}: variant {name!r} was skipped: {item.reason}")
        names = ", ".join(entry.name for entry in self.variants)
        raise RuntimeBundleError(f"bundle {self.name!r} has no variant {name!r}: it has {names}")

    @property
    def text(self) -> Optional[TextPreprocess]:
        """How texts become inputs; None where the model reads none."""
        found = [item for item in self.preprocess if item.kind == "text"]
        return found[0] if found else None  # type: ignore[return-value]

    def skipped_parts(self, part: str) -> Tuple[Skipped, ...]:
        """What was skipped of one part: "variant", "preprocess", "task" or "key"."""
        return tuple(item for item in self.skipped if item.part == part)
