"""Time and memory against the length of the input, measured on this machine: bundles side by side, variant by variant.

Every point is a process of its own (``scaling_worker``), so that its peak memory is its own. The texts are synthetic:
this says how fast, not how good.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeformer_converters.base import converter_of
from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.bundle.manifest import SEQUENCE, VariantEntry

from ..errors import InputError

LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
_SECONDS = 900


@dataclass(frozen=True)
class Point:
    """One length in one variant of one bundle; figures are None with ``reason`` where there is nothing to measure.

    ``latency_ms`` is the median of ``runs``; ``peak_bytes`` the most memory of the process, ``resident_bytes`` what it
    held with the model loaded, before the first run. ``engine`` says what ran, kernels among it.
    """

    bundle: str
    variant: str
    tokens: int
    runs: int = 0
    latency_ms: float | None = None
    peak_bytes: int | None = None
    resident_bytes: int | None = None
    engine: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Scaling:
    """The points of one run, with how many threads each had."""

    threads: int
    points: tuple[Point, ...]

    def to_json(self) -> str:
        """What ``from_json`` reads."""
        return json.dumps({"threads": self.threads, "points": [asdict(point) for point in self.points]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Scaling:
        """Raises InputError for anything but what ``to_json`` wrote."""
        try:
            held = json.loads(text)
            return cls(int(held["threads"]), tuple(Point(**point) for point in held["points"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"no scaling report ({error}): expected what 'edgeformer report scaling --json' wrote"
            ) from error

    def lines(self) -> dict[str, list[Point]]:
        """Measured points by bundle and variant, in the order of their lengths."""
        found: dict[str, list[Point]] = {}
        for point in sorted(self.points, key=lambda item: item.tokens):
            if point.latency_ms is not None:
                found.setdefault(f"{point.bundle}, {point.variant}", []).append(point)
        return dict(sorted(found.items()))


def measure(
    bundles: Sequence[Path], lengths: Sequence[int], threads: int, progress: Callable[[str], None] = lambda _: None
) -> Scaling:
    """Run what an engine here runs as a device does, at ``lengths``, round the bundles at each length.

    Raises:
        InputError: no bundle, two of one name, or a length below 1.
    """
    names = [path.resolve().name for path in bundles]
    if not bundles or len(set(names)) < len(names):
        raise InputError(f"report scaling: expected bundles of different names, got {', '.join(names) or 'none'}")
    if not lengths or min(lengths) < 1:
        raise InputError(f"report scaling: lengths {list(lengths)}: expected whole numbers of tokens >= 1")
    opened = [(path, name, Bundle.open(path)) for path, name in zip(bundles, names, strict=True)]
    points = []
    for length in sorted(set(lengths)):
        for path, name, bundle in opened:
            longest = bundle.manifest.text.max_length if bundle.manifest.text is not None else None
            for variant in bundle.manifest.variants:
                progress(f"{name}, {variant.name}: {length} tokens")
                point = Point(name, variant.name, length)
                points.append(_measured(point, path, variant, longest, threads))
    return Scaling(threads, tuple(points))


def _measured(point: Point, path: Path, variant: VariantEntry, longest: int | None, threads: int) -> Point:
    """``point`` with its figures, or why it has none."""
    values: dict[str, Any] = {"bundle": point.bundle, "variant": point.variant, "tokens": point.tokens}
    if not converter_of(variant).host_engine().as_on_device:
        return Point(**values, reason=f"no engine for {variant.format} on this machine")
    lengths = variant.lengths_of(SEQUENCE)
    if lengths and point.tokens not in lengths:
        return Point(**values, reason=f"its lengths are {', '.join(map(str, lengths))}")
    if longest is not None and point.tokens > longest:
        return Point(**values, reason=f"the bundle takes {longest} tokens")
    command = [sys.executable, "-m", "edgeformer.report.scaling_worker", str(path), variant.name]
    try:
        done = subprocess.run(
            [*command, str(point.tokens), str(threads)], capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return Point(**values, reason=f"not done after {_SECONDS} s")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
        return Point(**values, reason=last)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return Point(**values, **found)
