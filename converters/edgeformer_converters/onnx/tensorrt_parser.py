"""What NVIDIA's own ONNX parser and builder say of a TensorRT variant, where their package is installed.

PyPI's tensorrt-rtx packages (extra ``tensorrt-check``) parse and build on a machine without a GPU. Their parser is that
of TensorRT 10 and 11, not JetPack 5's 8.5, and Orin's compute capability, 8.7, isn't among those that they build for:
that a graph is accepted and built for 8.6 is shown, that it runs and how fast isn't.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..base import ExportError

PACKAGES = ("tensorrt_rtx_libs", "tensorrt_rtx_bindings")
NAME = "TensorRT-RTX"
CAPABILITY = "8.6"  # Ampere, as Orin's 8.7 is
_TIMEOUT_S = 1800
_PRODUCT = re.compile(r"\[ONNX Layer: ([^\]]*)\.product\.node\]")  # as tensorrt_lower names a quantized layer's MatMul
_TYPE = re.compile(r"Datatype: (\w+)")


@dataclass(frozen=True)
class Verdict:
    """A graph that was parsed, and the engine that was built of it."""

    parser: str  # version of the package
    layers: int  # of the parsed network
    capability: str  # compute capability that the engine is for
    engine_bytes: int
    engine_layers: int  # after fusion
    int8_products: tuple[str, ...]  # quantized layers whose matrix product takes int8 on both sides

    def __str__(self) -> str:
        return (
            f"parsed by {NAME} {self.parser}, {self.layers} layers; engine for {self.capability}: "
            f"{self.engine_bytes / 1e6:.1f} MB, int8 on both sides of {len(self.int8_products)} products"
        )


@dataclass(frozen=True)
class Unchecked:
    """Why there is no verdict: it says nothing of the model."""

    reason: str

    def __str__(self) -> str:
        return f"not parsed by {NAME}: {self.reason}"


def facts(path: Path, profiles: Mapping[str, Any], expected: Iterable[str]) -> dict[str, Any]:
    """The verdict as plain data for a report, with ``said``, a sentence; raises ExportError as ``check`` does.

    ``expected``: layers that should have int8 on both sides of their product; those that haven't are named.
    """
    found = check(path, profiles)
    said, kept = str(found), tuple[str, ...]()
    if isinstance(found, Verdict):
        kept = tuple(name for name in expected if name not in found.int8_products)
        said += f"; in float: {', '.join(kept)}" if kept else ""
    return {**asdict(found), "said": said, "float_products": kept}


def installed() -> bool:
    """Whether the packages are there; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in PACKAGES)


def check(path: Path, profiles: Mapping[str, Any], timeout_s: float = _TIMEOUT_S) -> Verdict | Unchecked:
    """Parse ``path`` and build an engine of it, in a child process.

    Args:
        path: an ONNX file.
        profiles: {input: {"min": […], "opt": […], "max": […]}}.
        timeout_s: after this the child is ended, and there is no verdict.

    Raises:
        ExportError: the parser or the builder refuses the graph; in their own words.
    """
    if not installed():
        return Unchecked("it isn't installed here: pip install 'edgeformer[tensorrt-check]'")
    command = [
        sys.executable,
        "-m",
        f"{__package__}.tensorrt_parser_worker",
        str(path),
        CAPABILITY,
        json.dumps(profiles),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return Unchecked(f"its process was not done after {timeout_s:.0f} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return Unchecked(f"its process ended with status {done.returncode}; it said: {last}")
    found = json.loads(done.stdout)
    if found["errors"]:
        raise ExportError(
            f"format 'tensorrt': {NAME} {found['parser']} refuses {path.name}: {'; '.join(found['errors'])}"
        )
    lines = found["layer_lines"]
    return Verdict(
        found["parser"], found["layers"], CAPABILITY, found["engine_bytes"], len(lines), int8_products(lines)
    )


def int8_products(lines: Iterable[str]) -> tuple[str, ...]:
    """Names of quantized layers in matrix products whose two matrices are int8, from the builder's layer information.

    A line tells of one layer of the engine: its inputs, then its constants (the weight, with a float factor and summand
    of one number each), its outputs, and the ONNX nodes that went into it.
    """
    names = set()
    for line in lines:
        if "LayerType: gemm" not in line:
            continue
        taken = line[line.index("Inputs: ") : line.index("Outputs: ")]
        if _TYPE.findall(taken)[:2] == ["Int8", "Int8"]:
            names.update(_PRODUCT.findall(line))
    return tuple(sorted(names))
