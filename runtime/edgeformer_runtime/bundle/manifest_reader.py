"""From the text of manifest.json to ``Manifest``, trusting nothing.

Whoever wrote the text, the only exception that leaves this file is RuntimeBundleError, and its message names
the place ("variants[1].lengths"), what was expected and what was found. What is well formed and unknown here, as a
later release may write it, is skipped with the reason; ``Manifest.skipped`` holds it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any, Callable, Dict, List, Mapping, Tuple, TypeVar, Union

from ..errors import RuntimeBundleError
from ..files.json_fields import (
    MAX_INTEGER,
    Fields,
    UnknownPartError,
    at_most,
    boolean,
    kind,
    list_of,
    name,
    not_negative,
    number,
    object_of,
    one_of,
    opaque,
    optional,
    path,
    positive,
    refuse,
    sha256,
    string,
    wrong,
)
from ..files.listing import MAX_FILES, FileEntry
from ..files.paths import check_distinct
from ..files.strict_json import check_json_data, read_json
from ..files.typed_json import decode_part
from ..preprocess.registry import KINDS, Preprocess, read_preprocess
from .checksum import check_checksum
from .manifest import (
    ACTIVATIONS,
    BATCH,
    FORMAT_VERSION,
    FORMATS,
    LONGEST_ANSWER,
    MAX_BUNDLE_BYTES,
    ROLES,
    SIMILARITIES,
    THRESHOLD,
    UPDATES,
    Dim,
    Graph,
    Manifest,
    Skipped,
    State,
    TaskSpec,
    TensorSpec,
    VariantEntry,
    Verification,
)
from .names import MANIFEST_NAME, SIGNATURE_NAME
from .needs import FullAttention, LocalAttentionNeeds, TensorRTNeeds

DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")
MAX_TOKENIZER_BYTES = 256 << 20  # the largest tokenizers in use have 20 MB; reading one takes ten times its size
MAX_SIZE = (1 << 31) - 1  # of a dimension, and of all fixed dimensions of a tensor multiplied
MAX_DIMS = 32
MAX_LENGTH = 1 << 24  # of a named dimension: tokens, samples, frames, pixels
DOCUMENT = "manifest.json: "

T = TypeVar("T")


def read_manifest(text: Union[str, bytes]) -> Manifest:
    """Parse the text of manifest.json; raises RuntimeBundleError, and nothing else, if it is wrong."""
    value = read_json(text)
    manifest = _manifest(value)  # first: what it refuses, it names
    check_checksum(text, value)
    return manifest


def manifest_of(value: Any) -> Manifest:
    """Like ``read_manifest``, from JSON data that is already parsed."""
    check_json_data(value)
    return _manifest(value)


def _manifest(value: Any) -> Manifest:
    """The format version is looked at before everything else."""
    if not isinstance(value, dict):
        refuse(f"manifest.json: expected an object, got {kind(value)}")
    fields = Fields(value, DOCUMENT)
    version = _format_version(value)
    fields.take("format_version", positive)
    signature = Fields(fields.take("signature", opaque), DOCUMENT + "signature")
    task, skipped = _task(fields.take("task", opaque), DOCUMENT + "task")
    variants, skipped_variants = _known(fields.take("variants", list_of(opaque)), "variant", "name", _variant)
    preprocess, skipped_preprocess = _known(
        fields.take("preprocess", list_of(opaque), ()), "preprocess", "kind", _preprocess
    )
    manifest = Manifest(
        format_version=version,
        name=fields.take("name", name),
        task=task,
        inputs=signature.take("inputs", list_of(_tensor)),
        outputs=signature.take("outputs", list_of(_tensor)),
        files=fields.take("files", list_of(_file)),
        variants=variants,
        preprocess=preprocess,
        targets=fields.take("targets", list_of(string), ()),
        recipe=fields.take("recipe", opaque, {}),
        sources=fields.take("sources", opaque, {}),
        metrics=fields.take("metrics", opaque, {}),
        producer=fields.take("producer", string, ""),
        skipped=(*skipped, *skipped_variants, *skipped_preprocess),
    )
    signature.finish()
    fields.take("checksum", optional(sha256), None)  # of the text: see checksum
    fields.finish()
    _check_whole(manifest)
    return manifest


def _format_version(value: Mapping[str, Any]) -> int:
    if "format_version" not in value:
        refuse("manifest.json: key 'format_version' is missing: this is not an edgeformer bundle")
    given = value["format_version"]
    version = given if isinstance(given, int) and given > MAX_INTEGER else positive(given, DOCUMENT + "format_version")
    if version > FORMAT_VERSION:
        raise RuntimeBundleError(
            f"made by a newer edgeformer (format {version}, this runtime reads {FORMAT_VERSION}): "
            "update edgeformer-runtime",
            code="format-version",
        )
    if version < FORMAT_VERSION:
        raise RuntimeBundleError(
            f"made by an edgeformer from before the first release (format {version}, this runtime reads "
            f"{FORMAT_VERSION}): compile the model again",
            code="format-version",
        )
    return version


def _known(
    items: Tuple[Dict[str, Any], ...], part: str, key: str, read: Callable[[Any, str], T]
) -> Tuple[Tuple[T, ...], Tuple[Skipped, ...]]:
    """Those of ``items`` that ``read`` knows, and the others with the reason; ``key`` names an item."""
    where = "variants" if part == "variant" else part
    found: List[T] = []
    skipped: List[Skipped] = []
    for index, item in enumerate(items):
        place = f"{DOCUMENT}{where}[{index}]"
        called = Fields(item, place).take(key, name)
        try:
            found.append(read(item, place))
        except UnknownPartError as error:
            skipped.append(Skipped(part, called, error.reason))
    return tuple(found), tuple(skipped)


def _check_whole(manifest: Manifest) -> None:
    """What one field alone can't show: duplicates, and names that point at each other."""
    variants = [entry.name for entry in manifest.variants] + [item.name for item in manifest.skipped_parts("variant")]
    if "auto" in variants:
        refuse("manifest.json: variants: 'auto' is no name: it asks for the fastest variant. Rename it")
    for what, names in (
        ("inputs", [spec.name for spec in manifest.inputs]),
        ("outputs", [spec.name for spec in manifest.outputs]),
        ("variants", variants),
        ("task.labels", list(manifest.task.labels)),
    ):
        twice = [name for name, count in Counter(names).items() if count > 1][:5]
        if twice:
            refuse(f"manifest.json: {what}: {', '.join(map(repr, twice))} occurs more than once")
    for what, count in (
        ("inputs", len(manifest.inputs)),
        ("outputs", len(manifest.outputs)),
        ("variants", len(variants)),
    ):
        if count == 0:
            refuse(f"manifest.json: {what}: expected at least one, got none")
    paths = [entry.path for entry in manifest.files]
    if len(paths) > MAX_FILES:
        refuse(f"manifest.json: lists {len(paths)} files: expected at most {MAX_FILES}")
    check_distinct([*paths, MANIFEST_NAME, SIGNATURE_NAME], "manifest.json: files")
    total = sum(entry.bytes for entry in manifest.files)
    if total > MAX_BUNDLE_BYTES:
        refuse(f"manifest.json: its files have {total} bytes together: expected at most {MAX_BUNDLE_BYTES}")
    places = {parent for path in paths for parent in _with_parents(path)}
    for variant in manifest.variants:
        for graph in variant.graphs.values():
            if graph.path not in places:
                refuse(f"manifest.json: variant {variant.name!r}: path {graph.path!r} is not among the files")
        dimensions = {dim for specs in _input_specs(manifest, variant) for spec in specs for dim in spec.shape}
        _check_parts(manifest, variant)
        strange = sorted(set(variant.lengths) - dimensions)
        if strange:
            refuse(f"manifest.json: variant {variant.name!r}: lengths of {strange[0]!r}, which no input has")
    sizes = {entry.path: entry.bytes for entry in manifest.files}
    _check_label_vectors(manifest, sizes)
    for preprocess in manifest.preprocess:
        for file in preprocess.files:
            _check_read_file(file, f"preprocess {preprocess.kind}", sizes)


def _check_parts(manifest: Manifest, variant: VariantEntry) -> None:
    """Graphs without states part the signature's tensors among them; those with states have tensors of their own."""
    graphs = list(variant.graphs.values())
    if any(graph.states or graph.inputs is None or graph.outputs is None for graph in graphs):
        return
    for what, whole, parts in (
        ("inputs", manifest.inputs, [spec for graph in graphs for spec in graph.inputs or ()]),
        ("outputs", manifest.outputs, [spec for graph in graphs for spec in graph.outputs or ()]),
    ):
        if Counter(whole) != Counter(parts):
            names = ", ".join(spec.name for spec in parts)
            refuse(f"manifest.json: variant {variant.name!r}: its graphs' {what}, {names}, are not the signature's")


def _input_specs(manifest: Manifest, variant: VariantEntry) -> List[Tuple[TensorSpec, ...]]:
    return [manifest.inputs if graph.inputs is None else graph.inputs for graph in variant.graphs.values()]


def _check_label_vectors(manifest: Manifest, sizes: Mapping[str, int]) -> None:
    """They have to be as many as the labels, and as long as the vectors that the model gives."""
    path = manifest.task.label_vectors
    if path is None:
        return
    _check_read_file(path, "task.label_vectors", sizes)
    dimensions = manifest.outputs[0].shape[-1] if manifest.outputs[0].shape else 0
    expected = 4 * len(manifest.task.labels) * dimensions if isinstance(dimensions, int) else -1
    if sizes[path] != expected:
        refuse(f"manifest.json: task.label_vectors: {path!r} has {sizes[path]} bytes: expected 4 for each of "
               f"{len(manifest.task.labels)} labels x {dimensions} dimensions")  # fmt: skip


def _check_read_file(path: str, what: str, sizes: Mapping[str, int]) -> None:
    """A file that preprocessing reads whole must be there and small enough."""
    if path not in sizes:
        refuse(f"manifest.json: {what}: {path!r} is not among the files")
    if sizes[path] > MAX_TOKENIZER_BYTES:
        refuse(f"manifest.json: {path!r} has {sizes[path]} bytes: expected at most {MAX_TOKENIZER_BYTES}")


def _with_parents(path: str) -> List[str]:
    """ "a/b/c" gives "a", "a/b" and "a/b/c"."""
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


# one reader a type


def _task(value: Any, where: str) -> Tuple[TaskSpec, Tuple[Skipped, ...]]:
    """The task, or one without facts where there is something about it that nobody here knows."""
    called = Fields(value, where).take("kind", name)
    try:
        return _task_spec(value, where), ()
    except UnknownPartError as error:
        return TaskSpec(called), (Skipped("task", called, error.reason),)


def _task_spec(value: Any, where: str) -> TaskSpec:
    fields = Fields(value, where)
    numbers = Fields(fields.take("numbers", opaque, {}), f"{where}.numbers")
    task = TaskSpec(
        name=fields.take("kind", name),
        labels=fields.take("labels", list_of(string), ()),
        multi_label=fields.take("multi_label", boolean, False),
        regression=fields.take("regression", boolean, False),
        activation=fields.take("activation", optional(one_of(ACTIVATIONS)), None),
        similarity=fields.take("similarity", optional(one_of(SIMILARITIES)), None),
        threshold=numbers.take("threshold", number, THRESHOLD),
        longest_answer=numbers.take("longest_answer", at_most(MAX_LENGTH), LONGEST_ANSWER),
        scale=numbers.take("scale", number, 1.0),
        bias=numbers.take("bias", number, 0.0),
        hypothesis_template=fields.take("hypothesis_template", optional(_template), None),
        label_vectors=fields.take("label_vectors", optional(path), None),
    )
    numbers.finish()
    fields.finish()
    if task.activation == ("softmax" if task.regression else "tanh"):
        what = "one number" if task.regression else "several labels"
        refuse(f"{where}.activation {task.activation!r} is none for {what}")
    return task


def _template(value: Any, where: str) -> str:
    if not isinstance(value, str) or "{}" not in value:
        wrong(where, "a text with {} where the label goes", value)
    return value


def _tensor(value: Any, where: str) -> TensorSpec:
    fields = Fields(value, where)
    spec = TensorSpec(
        name=fields.take("name", name),
        dtype=fields.take("dtype", one_of(DTYPES)),
        shape=fields.take("shape", list_of(_dim)),
        pad_value=fields.take("pad_value", number, 0),
        role=fields.take("role", optional(one_of(ROLES)), None),
    )
    fields.finish()
    if spec.shape.count(BATCH) > 1:
        refuse(f"{where}.shape: {BATCH!r} occurs twice in {list(spec.shape)}")
    if len(spec.shape) > MAX_DIMS:
        refuse(f"{where}.shape has {len(spec.shape)} dimensions: expected at most {MAX_DIMS}")
    if math.prod(dim for dim in spec.shape if isinstance(dim, int)) > MAX_SIZE:
        refuse(f"{where}.shape: {list(spec.shape)[:20]} has more than {MAX_SIZE} elements")
    return spec


def _file(value: Any, where: str) -> FileEntry:
    fields = Fields(value, where)
    entry = FileEntry(
        path=fields.take("path", path),
        bytes=fields.take("bytes", not_negative),
        sha256=fields.take("sha256", sha256),
    )
    fields.finish()
    return entry


def _variant(value: Any, where: str) -> VariantEntry:
    fields = Fields(value, where)
    form = fields.take("format", name)
    if form not in FORMATS:
        raise UnknownPartError(where, f"format {form[:80]!r} is none that this runtime knows ({', '.join(FORMATS)})")
    entry = VariantEntry(
        name=fields.take("name", name),
        format=form,
        engine=fields.take("engine", name),
        graphs=fields.take("graphs", object_of(_graph)),
        size_bytes=fields.take("size_bytes", not_negative),
        lengths=fields.take("lengths", object_of(_ascending), {}),
        fixed_batch=fields.take("fixed_batch", optional(at_most(MAX_SIZE)), None),
        weight_formats=fields.take("weight_formats", object_of(not_negative), {}),
        engine_packages=fields.take("engine_packages", list_of(name), ()),
        min_engine_version=fields.take("min_engine_version", optional(_version), None),
        targets=fields.take("targets", list_of(string), ()),
        settings=fields.take("settings", opaque, {}),
        verification=fields.take("verification", optional(_verification), None),
        tensorrt=fields.take("tensorrt", optional(_decoded(TensorRTNeeds)), None),
        local_attention=fields.take("local_attention", optional(_decoded(LocalAttentionNeeds)), None),
        full_attention=fields.take("full_attention", optional(_full_attention), None),
    )
    fields.finish()
    if not entry.graphs:
        wrong(f"{where}.graphs", "at least one graph", value["graphs"])
    if BATCH in entry.lengths:
        refuse(f"{where}.lengths: {BATCH!r} is what fixed_batch is for")
    return entry


def _graph(value: Any, where: str) -> Graph:
    fields = Fields(value, where)
    graph = Graph(
        path=fields.take("path", path),
        inputs=fields.take("inputs", optional(list_of(_tensor)), None),
        outputs=fields.take("outputs", optional(list_of(_tensor)), None),
        states=fields.take("states", list_of(_state), ()),
    )
    fields.finish()
    return graph


def _state(value: Any, where: str) -> State:
    fields = Fields(value, where)
    state = State(
        input=fields.take("input", name),
        output=fields.take("output", name),
        axis=fields.take("axis", not_negative),
        update=fields.take("update", one_of(UPDATES)),
        longest=fields.take("longest", optional(at_most(MAX_LENGTH)), None),
    )
    fields.finish()
    return state


def _full_attention(value: Any, where: str) -> FullAttention:
    fields = Fields(value, where)
    rule = FullAttention(fields.take("below_positions", list_of(positive)), fields.take("decided_by", _decider))
    fields.finish()
    return rule


def _decider(value: Any, where: str) -> Union[str, int]:
    return one_of(("input", "signature"))(value, where) if isinstance(value, str) else positive(value, where)


def _decoded(type_: Any) -> Callable[[Any, str], Any]:
    """A reader of a dataclass whose fields need no rule beside their types."""

    return lambda value, where: decode_part(type_, value, where)


def _verification(value: Any, where: str) -> Verification:
    fields = Fields(value, where)
    verification = Verification(
        executed_by=fields.take("executed_by", string),
        on_device=fields.take("on_device", boolean),
        samples=fields.take("samples", not_negative),
        cosine_min=fields.take("cosine_min", number),
        cosine_mean=fields.take("cosine_mean", number),
        similarity_min=fields.take("similarity_min", optional(number), None),
        similarity_p01=fields.take("similarity_p01", optional(number), None),
        max_abs_error=fields.take("max_abs_error", number),
        agreement=fields.take("agreement", optional(number), None),
        metric_name=fields.take("metric_name", optional(string), None),
        metric=fields.take("metric", optional(number), None),
        metric_drop=fields.take("metric_drop", optional(number), None),
    )
    fields.finish()
    return verification


def _preprocess(value: Any, where: str) -> Preprocess:
    called = Fields(value, where).take("kind", name)
    if called not in KINDS:
        raise UnknownPartError(where, f"kind {called[:80]!r} is none that this runtime knows ({', '.join(KINDS)})")
    return read_preprocess(value, where)


def _dim(value: Any, where: str) -> Dim:
    return name(value, where) if isinstance(value, str) else at_most(MAX_SIZE)(value, where)


def _version(value: Any, where: str) -> str:
    if not isinstance(value, str) or re.fullmatch(r"(iOS)?\d{1,9}(\.\d{1,9}){0,5}", value, re.ASCII) is None:
        wrong(where, 'a version like "1.19" or "iOS18"', value)
    return value


def _ascending(value: Any, where: str) -> Tuple[int, ...]:
    lengths = list_of(at_most(MAX_LENGTH))(value, where)
    if not lengths or list(lengths) != sorted(set(lengths)):
        wrong(where, "ascending lengths, each once", value)
    return lengths
