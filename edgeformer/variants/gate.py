"""The gate: what a variant must keep, and how small and fast it must be, to be published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edgeformer_converters.base import Converter, converter_of
from edgeformer_runtime.bundle.manifest import VariantEntry, Verification

from ..errors import InputError
from ..evaluation.paired import claim_of_facts
from ..recipe import Gate
from ..rows.samples import Samples
from .latency import UNCOMPRESSED, VariantLatency

# The worst of thousands of samples says more of their number than of the export: it may be this much further from 1.
_WORST_SAMPLE = 10


def cosine_floor(converter: Converter, gate: Gate) -> float:
    """The cosine with the compressed torch model that 99 % of the samples of a converter's variant must reach."""
    return gate.min_cosine_integer_activations if converter.integer_activations else gate.min_cosine


def worst_floor(floor: float) -> float:
    """What the worst sample must reach where 99 % must reach ``floor``."""
    return 1 - _WORST_SAMPLE * (1 - floor)


def problems(entry: VariantEntry, gate: Gate, statistics: Mapping[str, Any] | None = None) -> list[str]:
    """Why a variant must not be published, apart from its latency; empty when it may.

    ``statistics`` are ``paired_facts`` against the uncompressed model: the metric decides, they say what it is worth.
    """
    if entry.verification is None:
        return [f"{entry.name}: was not executed"]
    said = (differs(entry, gate), falls(entry, gate, statistics), too_large(entry, gate))
    return [text for text in said if text is not None]


def differs(entry: VariantEntry, gate: Gate) -> str | None:
    """Why a variant's outputs are too far from the compressed torch model's; None where they aren't."""
    result = entry.verification
    if result is None:
        return None
    floor, (low, lowest) = cosine_floor(converter_of(entry), gate), _lowest(result)
    hard_floor = worst_floor(floor)
    if low >= floor and lowest >= hard_floor:
        return None
    return (
        f"{entry.name}: differs from the compressed torch model: 99 % of {result.samples} samples have a cosine "
        f"of at least {low:.5f} (asked for: {floor}), the smallest cosine is {lowest:.5f} (asked for: "
        f"{hard_floor:.4g}); outputs near zero count with the usual length"
    )


def floor_that_allows(entry: VariantEntry) -> tuple[str, float] | None:
    """The gate's key for this variant's format, and the highest floor, in thousandths, that it would pass."""
    if entry.verification is None:
        return None
    low, lowest = _lowest(entry.verification)
    floor = math.floor(1000 * min(low, 1 - (1 - lowest) / _WORST_SAMPLE)) / 1000
    integers = converter_of(entry).integer_activations
    return "min_cosine_integer_activations" if integers else "min_cosine", floor


def _lowest(result: Verification) -> tuple[float, float]:
    """What 99 % of the samples reach, and what the worst does."""
    low = result.cosine_min if result.similarity_p01 is None else result.similarity_p01
    return low, result.cosine_min if result.similarity_min is None else result.similarity_min


def falls(entry: VariantEntry, gate: Gate, statistics: Mapping[str, Any] | None = None) -> str | None:
    """Why a variant's metric falls too far; None where it doesn't, or no limit was given."""
    result = entry.verification
    if gate.max_drop is None or result is None:
        return None
    if result.metric_drop is None:
        return f"{entry.name}: no metric could be computed, so --max-drop can't be checked"
    if result.metric_drop <= gate.max_drop + 1e-12:
        return None
    return (
        f"{entry.name}: {result.metric_name} falls by {result.metric_drop * 100:.2f} points to "
        f"{(result.metric or 0) * 100:.2f} %, at most {gate.max_drop * 100:.2f} points are allowed"
        + _worth(result.metric_name, statistics, gate.max_drop)
    )


def too_large(entry: VariantEntry, gate: Gate) -> str | None:
    """Why a variant's files are too large; None where they aren't."""
    limit = gate.variant_bytes
    if limit is None or entry.size_bytes <= limit:
        return None
    return f"{entry.name}: {entry.size_bytes / 1e6:.2f} MB, at most {limit / 1e6:.2f} MB are allowed"


def bundle_too_large(sizes_bytes: Mapping[str, int], gate: Gate) -> str | None:
    """Why parts of a bundle, by name, are too large together; None where they aren't."""
    limit, total = gate.max_bundle_bytes, sum(sizes_bytes.values())
    if limit is None or total <= limit:
        return None
    parts = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in sizes_bytes.items() if size)
    return f"the bundle takes {total / 1e6:.2f} MB ({parts}), at most {limit / 1e6:.2f} MB are allowed"


def _worth(metric_name: str | None, statistics: Mapping[str, Any] | None, allowed: float) -> str:
    said = claim_of_facts(metric_name or "the metric", statistics, allowed) if statistics else None
    return f" ({said})" if said else ""


def check_drop_can_be_seen(gate: Gate, evaluation: Samples | None) -> None:
    """Raise InputError where a drop is to be limited and nothing tells how large it is; before the work, not after."""
    if gate.max_drop is not None and (evaluation is None or not evaluation.labelled):
        raise InputError(
            f"--max-drop {gate.max_drop:g}: a drop of the metric shows on labelled evaluation rows only, and there "
            "are none: give --evaluation FILE, or leave --max-drop out"
        )


def latency_problems(latencies: Mapping[str, VariantLatency], gate: Gate) -> list[str]:
    """Variants slower than allowed. One that can't be timed here is exempt, but not all may be."""
    if gate.max_latency_ms is None:
        return []
    variants = {name: latency for name, latency in latencies.items() if name != UNCOMPRESSED}
    timed = {name: latency.median_ms for name, latency in variants.items() if latency.median_ms is not None}
    if not timed:
        reasons = "; ".join(f"{name}: {latency.reason}" for name, latency in variants.items())
        return [f"no variant could be timed on this machine, so --max-latency can't be checked: {reasons}"]
    return [
        f"{name}: {value:.2f} ms on this machine, at most {gate.max_latency_ms:.2f} ms are allowed"
        for name, value in timed.items()
        if value > gate.max_latency_ms
    ]
