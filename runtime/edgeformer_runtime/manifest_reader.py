"""From the text of manifest.json to ``Manifest``, trusting nothing.

Whoever wrote the text, the only exception that leaves this file is RuntimeBundleError, and its message names
the place ("variants[1].path"), what was expected and what was found.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Optional, Tuple, TypeVar, Union

from .errors import RuntimeBundleError
from .manifest import (
    FORMAT_VERSION,
    FORMATS,
    TASKS,
    Dim,
    FileEntry,
    Manifest,
    TaskSpec,
    TensorSpec,
    TextPreprocess,
    VariantEntry,
    Verification,
)
from .paths import check_distinct, check_relative_path

MAX_MANIFEST_BYTES = 16 << 20
MAX_DEPTH = 64
MAX_DIGITS = 19  # of an integer: more than that doesn't fit 64 bits
DTYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")
MAX_FILES = 10_000
# For people, at the root, and not hashed: they hold times, which differ from run to run. Nothing here reads them.
REPORT_NAMES = ("report.html", "report.json")
MAX_REPORT_BYTES = 64 << 20
MANIFEST_NAME = "manifest.json"

T = TypeVar("T")
_REQUIRED = object()


def read_json(text: Union[str, bytes]) -> Any:
    """JSON data of ``text``: no duplicate keys, no NaN, no deep nesting, no number beyond 64 bits."""
    if len(text) > MAX_MANIFEST_BYTES:
        _refuse(f"manifest.json has {len(text)} bytes: expected at most {MAX_MANIFEST_BYTES}")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except RecursionError:
        _refuse(f"manifest.json is nested too deeply: expected at most {MAX_DEPTH} levels")
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        _refuse(f"manifest.json is not JSON ({error}): the file is damaged, get the bundle again")
    check_json_data(value)
    return value


def check_json_data(value: Any) -> None:
    """Raise RuntimeBundleError unless ``value`` is plain JSON data within the limits of this file."""
    pending: List[Tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            _refuse(f"manifest.json is nested too deeply: expected at most {MAX_DEPTH} levels")
        if isinstance(item, dict):
            for key, child in item.items():
                _check_scalar(key) if isinstance(key, str) else _refuse(f"manifest.json: key {key!r} isn't a string")
                pending.append((child, depth + 1))
        elif isinstance(item, (list, tuple)):
            pending.extend((child, depth + 1) for child in item)
        else:
            _check_scalar(item)


def read_manifest(value: Any) -> Manifest:
    """A Manifest of checked JSON data; the format version is looked at before everything else."""
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
    check_distinct([*paths, MANIFEST_NAME], "manifest.json: files")
    places = {parent for path in paths for parent in _with_parents(path)}
    for variant in manifest.variants:
        if variant.path not in places:
            _refuse(f"manifest.json: variant {variant.name!r}: path {variant.path!r} is not among the files")
    if manifest.preprocess is not None and manifest.preprocess.tokenizer not in paths:
        _refuse(f"manifest.json: preprocess.tokenizer {manifest.preprocess.tokenizer!r} is not among the files")


def _with_parents(path: str) -> List[str]:
    """ "a/b/c" gives "a", "a/b" and "a/b/c"."""
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


# ---- one reader a type ----


def _task(value: Any, where: str) -> TaskSpec:
    fields = _Fields(value, where)
    task = TaskSpec(
        name=fields.take("name", _one_of(TASKS)),
        labels=fields.take("labels", _list_of(_string), ()),
        multi_label=fields.take("multi_label", _boolean, False),
        regression=fields.take("regression", _boolean, False),
    )
    fields.finish()
    return task


def _tensor(value: Any, where: str) -> TensorSpec:
    fields = _Fields(value, where)
    spec = TensorSpec(
        name=fields.take("name", _name),
        dtype=fields.take("dtype", _one_of(DTYPES)),
        shape=fields.take("shape", _list_of(_dim)),
        pad_value=fields.take("pad_value", _number, 0),
    )
    fields.finish()
    named = [dim for dim in spec.shape if isinstance(dim, str)]
    if len(set(named)) < len(named):
        _refuse(f"manifest.json: {where}.shape: a named dimension occurs twice in {list(spec.shape)}")
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
        fixed_batch=fields.take("fixed_batch", _optional(_positive), None),
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
        max_length=fields.take("max_length", _positive),
        pad_token_id=fields.take("pad_token_id", _not_negative),
        pair=fields.take("pair", _boolean, False),
    )
    fields.finish()
    return preprocess


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
    if not isinstance(value, str) or not value or any(ord(character) < 32 for character in value):
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
    return _name(value, where) if isinstance(value, str) else _positive(value, where)


def _sha256(value: Any, where: str) -> str:
    if not isinstance(value, str) or re.fullmatch("[0-9a-f]{64}", value) is None:
        _wrong(where, "64 lower-case hexadecimal digits", value)
    return value


def _version(value: Any, where: str) -> str:
    if not isinstance(value, str) or re.fullmatch(r"(iOS)?\d{1,9}(\.\d{1,9}){0,5}", value, re.ASCII) is None:
        _wrong(where, 'a version like "1.19" or "iOS18"', value)
    return value


def _ascending(value: Any, where: str) -> Tuple[int, ...]:
    lengths = _list_of(_positive)(value, where)
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


# ---- hooks of the JSON parser ----


def _unique_keys(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    result: Dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key[:80]!r} occurs twice in one object")
        result[key] = value
    return result


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"integer of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is beyond the range of a double")
    return value


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            _refuse(f"manifest.json: string {value[:80]!r} is not valid Unicode")
    elif isinstance(value, float):
        if not math.isfinite(value):
            _refuse(f"manifest.json: number {value} is not finite")
    elif isinstance(value, int):
        if not -(10**MAX_DIGITS) < value < 10**MAX_DIGITS:
            _refuse(f"manifest.json: an integer has more than {MAX_DIGITS} digits")
    elif value is not None:
        _refuse(f"manifest.json: {type(value).__name__} is not JSON data")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _wrong(where: str, expected: str, value: Any) -> NoReturn:
    got = repr(value) if isinstance(value, (str, int, float, bool)) else _kind(value)
    _refuse(f"manifest.json: {where or 'top level'}: expected {expected}, got {got[:200]}")


def _refuse(message: str) -> NoReturn:
    raise RuntimeBundleError(message)
