"""From the text of manifest.json to ``Manifest``, trusting nothing.

Whoever wrote the text, the only exception that leaves this file is RuntimeBundleError, and its message names
the place ("variants[1].path"), what was expected and what was found.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Tuple, TypeVar, Union

from ..files.listing import MAX_FILES, FileEntry
from ..files.paths import check_distinct, check_relative_path
from ..files.strict_json import check_json_data, read_json
from ..files.strict_json import refuse as _refuse
from ..preprocess.text import CUTS, SIDES, TextPreprocess
from .checksum import check_checksum
from .manifest import (
    ACTIVATIONS,
    FORMAT_VERSION,
    FORMATS,
    LONGEST_ANSWER,
    MAX_BUNDLE_BYTES,
    ROLES,
    SIMILARITIES,
    THRESHOLD,
    Dim,
    Manifest,
    TaskSpec,
    TensorSpec,
    VariantEntry,
    Verification,
)
from .names import MANIFEST_NAME, SIGNATURE_NAME

DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")
MAX_TOKENIZER_BYTES = 256 << 20  # the largest tokenizers in use have 20 MB; reading one takes ten times its size
MAX_SIZE = (1 << 31) - 1  # of a dimension, and of all fixed dimensions of a tensor multiplied
MAX_DIMS = 32
MAX_LENGTH = 1 << 20  # of a sequence, in tokens
MAX_PROMPTS = 1000

_CONTROL = re.compile("[\x00-\x1f]")

T = TypeVar("T")
_REQUIRED = object()


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
        _refuse(f"manifest.json: expected an object, got {_kind(value)}")
    _check_format_version(value)
    fields = _Fields(value, "")
    manifest = Manifest(
        format_version=fields.take("format_version", _positive),
        name=fields.take("name", _name),
        task=fields.take("task", _task),
        inputs=fields.take("inputs", _list_of(_tensor)),
        outputs=fields.take("outputs", _list_of(_tensor)),
        files=fields.take("files", _list_of(_file)),
        variants=fields.take("variants", _list_of(_variant)),
        preprocess=fields.take("preprocess", _optional(_preprocess), None),
        targets=fields.take("targets", _list_of(_string), ()),
        recipe=fields.take("recipe", _opaque, {}),
        sources=fields.take("sources", _opaque, {}),
        metrics=fields.take("metrics", _opaque, {}),
        producer=fields.take("producer", _string, ""),
    )
    fields.take("checksum", _optional(_sha256), None)  # of the text: see check_checksum
    fields.finish()
    _check_whole(manifest)
    return manifest


def _check_format_version(value: Mapping[str, Any]) -> None:
    if "format_version" not in value:
        _refuse("manifest.json: key 'format_version' is missing: this is not an edgeformer bundle")
    version = _positive(value["format_version"], "format_version")
    if version > FORMAT_VERSION:
        _refuse(
            f"made by a newer edgeformer (format {version}, this runtime reads {FORMAT_VERSION}): "
            "update edgeformer-runtime"
        )


def _check_whole(manifest: Manifest) -> None:
    """What one field alone can't show: duplicates, and names that point at each other."""
    for what, names in (
        ("inputs", [spec.name for spec in manifest.inputs]),
        ("outputs", [spec.name for spec in manifest.outputs]),
        ("variants", [entry.name for entry in manifest.variants]),
        ("task.labels", list(manifest.task.labels)),
    ):
        twice = [name for name, count in Counter(names).items() if count > 1][:5]
        if twice:
            _refuse(f"manifest.json: {what}: {', '.join(map(repr, twice))} occurs more than once")
    for what, count in (
        ("inputs", len(manifest.inputs)),
        ("outputs", len(manifest.outputs)),
        ("variants", len(manifest.variants)),
    ):
        if count == 0:
            _refuse(f"manifest.json: {what}: expected at least one, got none")
    paths = [entry.path for entry in manifest.files]
    if len(paths) > MAX_FILES:
        _refuse(f"manifest.json: lists {len(paths)} files: expected at most {MAX_FILES}")
    check_distinct([*paths, MANIFEST_NAME, SIGNATURE_NAME], "manifest.json: files")
    total = sum(entry.bytes for entry in manifest.files)
    if total > MAX_BUNDLE_BYTES:
        _refuse(f"manifest.json: its files have {total} bytes together: expected at most {MAX_BUNDLE_BYTES}")
    places = {parent for path in paths for parent in _with_parents(path)}
    for variant in manifest.variants:
        if variant.path not in places:
            _refuse(f"manifest.json: variant {variant.name!r}: path {variant.path!r} is not among the files")
    if manifest.preprocess is not None:
        _check_tokenizer(manifest.preprocess.tokenizer, {entry.path: entry.bytes for entry in manifest.files})


def _check_tokenizer(path: str, sizes: Mapping[str, int]) -> None:
    if path not in sizes:
        _refuse(f"manifest.json: preprocess.tokenizer {path!r} is not among the files")
    if sizes[path] > MAX_TOKENIZER_BYTES:
        _refuse(f"manifest.json: {path!r} has {sizes[path]} bytes: expected at most {MAX_TOKENIZER_BYTES}")


def _with_parents(path: str) -> List[str]:
    """ "a/b/c" gives "a", "a/b" and "a/b/c"."""
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


# ---- one reader a type ----


def _task(value: Any, where: str) -> TaskSpec:
    fields = _Fields(value, where)
    task = TaskSpec(
        name=fields.take("name", _name),
        labels=fields.take("labels", _list_of(_string), ()),
        multi_label=fields.take("multi_label", _boolean, False),
        regression=fields.take("regression", _boolean, False),
        activation=fields.take("activation", _optional(_one_of(ACTIVATIONS)), None),
        similarity=fields.take("similarity", _optional(_one_of(SIMILARITIES)), None),
        threshold=fields.take("threshold", _number, THRESHOLD),
        longest_answer=fields.take("longest_answer", _at_most(MAX_LENGTH), LONGEST_ANSWER),
    )
    fields.finish()
    if task.activation == ("softmax" if task.regression else "tanh"):
        kind = "one number" if task.regression else "several labels"
        _refuse(f"manifest.json: {where}.activation {task.activation!r} is none for {kind}")
    return task


def _tensor(value: Any, where: str) -> TensorSpec:
    fields = _Fields(value, where)
    spec = TensorSpec(
        name=fields.take("name", _name),
        dtype=fields.take("dtype", _one_of(DTYPES)),
        shape=fields.take("shape", _list_of(_dim)),
        pad_value=fields.take("pad_value", _number, 0),
        role=fields.take("role", _optional(_one_of(ROLES)), None),
    )
    fields.finish()
    named = [dim for dim in spec.shape if isinstance(dim, str)]
    if len(set(named)) < len(named):
        _refuse(f"manifest.json: {where}.shape: a named dimension occurs twice in {list(spec.shape)}")
    if len(spec.shape) > MAX_DIMS:
        _refuse(f"manifest.json: {where}.shape has {len(spec.shape)} dimensions: expected at most {MAX_DIMS}")
    if math.prod(dim for dim in spec.shape if isinstance(dim, int)) > MAX_SIZE:
        _refuse(f"manifest.json: {where}.shape: {list(spec.shape)[:20]} has more than {MAX_SIZE} elements")
    return spec


def _file(value: Any, where: str) -> FileEntry:
    fields = _Fields(value, where)
    entry = FileEntry(
        path=fields.take("path", _path),
        bytes=fields.take("bytes", _not_negative),
        sha256=fields.take("sha256", _sha256),
    )
    fields.finish()
    return entry


def _variant(value: Any, where: str) -> VariantEntry:
    fields = _Fields(value, where)
    entry = VariantEntry(
        name=fields.take("name", _name),
        format=fields.take("format", _one_of(FORMATS)),
        engine=fields.take("engine", _name),
        path=fields.take("path", _path),
        size_bytes=fields.take("size_bytes", _not_negative),
        sequence_lengths=fields.take("sequence_lengths", _ascending, ()),
        fixed_batch=fields.take("fixed_batch", _optional(_at_most(MAX_SIZE)), None),
        weight_formats=fields.take("weight_formats", _counts, {}),
        engine_packages=fields.take("engine_packages", _list_of(_name), ()),
        min_engine_version=fields.take("min_engine_version", _optional(_version), None),
        targets=fields.take("targets", _list_of(_string), ()),
        settings=fields.take("settings", _opaque, {}),
        verification=fields.take("verification", _optional(_verification), None),
    )
    fields.finish()
    return entry


def _verification(value: Any, where: str) -> Verification:
    fields = _Fields(value, where)
    verification = Verification(
        executed_by=fields.take("executed_by", _string),
        on_device=fields.take("on_device", _boolean),
        samples=fields.take("samples", _not_negative),
        cosine_min=fields.take("cosine_min", _number),
        cosine_mean=fields.take("cosine_mean", _number),
        similarity_min=fields.take("similarity_min", _optional(_number), None),
        similarity_p01=fields.take("similarity_p01", _optional(_number), None),
        max_abs_error=fields.take("max_abs_error", _number),
        agreement=fields.take("agreement", _optional(_number), None),
        metric_name=fields.take("metric_name", _optional(_string), None),
        metric=fields.take("metric", _optional(_number), None),
        metric_drop=fields.take("metric_drop", _optional(_number), None),
    )
    fields.finish()
    return verification


def _preprocess(value: Any, where: str) -> TextPreprocess:
    fields = _Fields(value, where)
    preprocess = TextPreprocess(
        tokenizer=fields.take("tokenizer", _path),
        max_length=fields.take("max_length", _at_most(MAX_LENGTH)),
        pad_token_id=fields.take("pad_token_id", _not_negative),
        pair=fields.take("pair", _boolean, False),
        truncation=fields.take("truncation", _one_of(SIDES), "right"),
        prompts=fields.take("prompts", _prompts, {}),
        default_prompt=fields.take("default_prompt", _optional(_name), None),
        single=fields.take("single", _boolean, True),
        cut=fields.take("cut", _one_of(CUTS), "longest"),
    )
    fields.finish()
    if not (preprocess.single or preprocess.pair):
        _refuse(f"manifest.json: {where}: expected texts, pairs or both to be taken, got neither")
    if preprocess.default_prompt is not None and preprocess.default_prompt not in preprocess.prompts:
        _refuse(f"manifest.json: {where}.default_prompt {preprocess.default_prompt!r} is none of its prompts")
    return preprocess


def _prompts(value: Any, where: str) -> Dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_PROMPTS:
        _wrong(where, f"an object of at most {MAX_PROMPTS} prompts", value)
    return {_name(name, where): _string(text, f"{where}.{name[:80]}") for name, text in value.items()}


class _Fields:
    """The keys of one JSON object, taken one by one; ``finish`` refuses those that nobody took."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            _wrong(where, "an object", value)
        self._value: Dict[str, Any] = dict(value)
        self._where = where

    def take(self, key: str, read: Callable[[Any, str], T], default: Any = _REQUIRED) -> T:
        where = f"{self._where}.{key}" if self._where else key
        if key in self._value:
            return read(self._value.pop(key), where)
        if default is _REQUIRED:
            _refuse(f"manifest.json: key {where!r} is missing")
        return default  # type: ignore[no-any-return]

    def finish(self) -> None:
        if self._value:
            unknown = ", ".join(repr(key[:80]) for key in sorted(self._value)[:5])
            _refuse(f"manifest.json: {self._where or 'top level'}: unknown key {unknown}")


# ---- one reader a kind of value ----


def _string(value: Any, where: str) -> str:
    return value if isinstance(value, str) else _wrong(where, "a string", value)


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        _wrong(where, "a non-empty string without control characters", value)
    return value


def _path(value: Any, where: str) -> str:
    path = _string(value, where)
    check_relative_path(path, f"manifest.json: {where}")
    return path


def _boolean(value: Any, where: str) -> bool:
    return value if isinstance(value, bool) else _wrong(where, "true or false", value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _wrong(where, "a number", value)
    return value


def _not_negative(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        _wrong(where, "an integer of at least 0", value)
    return value


def _positive(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _wrong(where, "an integer of at least 1", value)
    return value


def _dim(value: Any, where: str) -> Dim:
    return _name(value, where) if isinstance(value, str) else _at_most(MAX_SIZE)(value, where)


def _at_most(limit: int) -> Callable[[Any, str], int]:
    def read_bounded(value: Any, where: str) -> int:
        if _positive(value, where) > limit:
            _wrong(where, f"an integer of at most {limit}", value)
        return int(value)

    return read_bounded


def _sha256(value: Any, where: str) -> str:
    if not isinstance(value, str) or re.fullmatch("[0-9a-f]{64}", value) is None:
        _wrong(where, "64 lower-case hexadecimal digits", value)
    return value


def _version(value: Any, where: str) -> str:
    if not isinstance(value, str) or re.fullmatch(r"(iOS)?\d{1,9}(\.\d{1,9}){0,5}", value, re.ASCII) is None:
        _wrong(where, 'a version like "1.19" or "iOS18"', value)
    return value


def _ascending(value: Any, where: str) -> Tuple[int, ...]:
    lengths = _list_of(_at_most(MAX_LENGTH))(value, where)
    if list(lengths) != sorted(set(lengths)):
        _wrong(where, "ascending lengths, each once", value)
    return lengths


def _counts(value: Any, where: str) -> Dict[str, int]:
    if not isinstance(value, dict):
        _wrong(where, "an object of counts", value)
    return {key: _not_negative(count, f"{where}.{key}") for key, count in value.items()}


def _opaque(value: Any, where: str) -> Dict[str, Any]:
    return value if isinstance(value, dict) else _wrong(where, "an object", value)


def _list_of(read: Callable[[Any, str], T]) -> Callable[[Any, str], Tuple[T, ...]]:
    def read_list(value: Any, where: str) -> Tuple[T, ...]:
        if not isinstance(value, (list, tuple)):
            _wrong(where, "a list", value)
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))

    return read_list


def _optional(read: Callable[[Any, str], T]) -> Callable[[Any, str], Optional[T]]:
    return lambda value, where: None if value is None else read(value, where)


def _one_of(choices: Tuple[str, ...]) -> Callable[[Any, str], str]:
    def read_choice(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in choices:
            _wrong(where, f"one of {', '.join(choices)}", value)
        return value

    return read_choice


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _wrong(where: str, expected: str, value: Any) -> NoReturn:
    got = repr(value) if isinstance(value, (str, int, float, bool)) else _kind(value)
    _refuse(f"manifest.json: {where or 'top level'}: expected {expected}, got {got[:200]}")
