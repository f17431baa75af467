"""Reading a report: of this release, or of version 1. Everything in it is checked, since it came over a network."""

from __future__ import annotations

import json
from typing import Any, Dict, Type, TypeVar

from ..errors import InputError, SensorError
from ..files.json_nesting import MAX_DEPTH, nests_deeper
from ..files.typed_json import DecodeError, decode
from .report_data import REPORT_VERSION, ReportData

T = TypeVar("T", bound=ReportData)

MAX_BYTES = 64 * 2**20

_OLD = "one loop without repeats, idle baseline or a look at throttling: measured by an earlier release"
_NEW_IN_2 = (
    "total_runs", "p50_interval", "energy", "idle_before", "idle_after", "thermal", "clock", "throttling", "load",
    "sampling", "sustained", "accuracy",
)  # fmt: skip


def read_report(kind: Type[T], text: str) -> T:
    """A report from JSON, as the class ``kind``; one of version 1 is invalid and says so. Raises InputError."""
    if len(text) > MAX_BYTES:
        raise InputError(f"report: {len(text)} characters: expected at most {MAX_BYTES}")
    if nests_deeper(text):
        raise InputError(f"report: over {MAX_DEPTH} levels deep: expected what 'edgeformer-run bench' writes")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise InputError(f"report: not JSON: {error}") from error
    if isinstance(value, dict) and value.get("emulated") is True:
        raise InputError("report: of an emulated run, which has no latencies: there is nothing to compare or to rank")
    version = value.get("report_version") if isinstance(value, dict) else None
    if isinstance(version, bool) or version not in (1, REPORT_VERSION):
        raise InputError(
            f"report: report_version {str(version)[:20]}: this release reads 1 and {REPORT_VERSION}: expected what "
            "'edgeformer-run bench --json' writes"
        )
    data = {key: item for key, item in value.items() if key not in ("runs", "latency_ms", "throughput_per_s", "valid")}
    if version == 1:
        data = _from_version_1(data)
    try:
        return decode(kind, data, "report", unknown="ignore")
    except (DecodeError, SensorError) as error:
        raise InputError(f"report: a field is missing or of the wrong type: {error}") from error


def _from_version_1(data: Dict[str, Any]) -> Dict[str, Any]:
    for name in (*_NEW_IN_2, "protocol", "invalid", "notes", "repeats", "latencies_kept_every"):
        data.pop(name, None)
    reasons = data.get("reasons")
    if isinstance(reasons, dict):
        data["reasons"] = {**{name: _OLD for name in _NEW_IN_2 if name != "total_runs"}, **reasons}
    data["invalid"] = [_OLD]
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
