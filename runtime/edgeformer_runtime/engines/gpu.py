"""The NVIDIA GPU of this machine: what an engine built for it depends on."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Tuple

from ..errors import EngineError
from .packages import import_package, is_installed, package_version

# Tegra chips by their name in the device tree: CUDA's architecture of the GPU inside (NVIDIA, CUDA GPUs and Jetson).
_TEGRA = {
    "nvidia,tegra210": "sm_53",  # Nano, TX1
    "nvidia,tegra186": "sm_62",  # TX2
    "nvidia,tegra194": "sm_72",  # Xavier
    "nvidia,tegra234": "sm_87",  # Orin
    "nvidia,tegra264": "sm_110",  # Thor
}
# Deep-learning accelerators by module: NVIDIA's part numbers, which the device tree begins with.
_DLA_CORES = {
    "p2888": 2,  # AGX Xavier
    "p3668": 2,  # Xavier NX
    "p3701": 2,  # AGX Orin
    "p3767-0000": 2,  # Orin NX 16 GB
    "p3767-0001": 1,  # Orin NX 8 GB
    "p3767": 0,  # Orin Nano, every other number
}
_LIBRARIES = ("libnvinfer.so.10", "libnvinfer.so.8", "libnvinfer.so")
_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")


@dataclass(frozen=True)
class Gpu:
    """A GPU. ``architecture`` is CUDA's ("sm_87"), None where unknown; so is ``dla_cores``."""

    name: str
    architecture: Optional[str]
    dla_cores: Optional[int]


def _ask(command: Tuple[str, ...]) -> Optional[str]:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def find_gpu(root: Path = Path("/"), ask: Callable[[Tuple[str, ...]], Optional[str]] = _ask) -> Optional[Gpu]:
    """The GPU, from the device tree (Jetson) or nvidia-smi (others); None where neither knows one."""
    names = _compatible(root)
    for name in names:
        if name in _TEGRA:
            return Gpu(_model(root) or name, _TEGRA[name], _dla_cores(names, name))
    lines = (ask(_QUERY) or "").strip().splitlines()
    if not lines or "," not in lines[0]:
        return None
    name, _, capability = (part.strip() for part in lines[0].rpartition(",")) if lines else ("", "", "")
    digits = capability.replace(".", "")
    return Gpu(name, f"sm_{digits}" if digits.isdigit() else None, 0)


def _compatible(root: Path) -> Tuple[str, ...]:
    """The strings of the device tree's "compatible", the most specific first."""
    for place in ("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible"):
        try:
            content = (root / place).read_bytes()
        except OSError:
            continue
        return tuple(part for part in content.decode("utf-8", "replace").split("\0") if part)
    return ()


def _model(root: Path) -> Optional[str]:
    try:
        return (root / "proc/device-tree/model").read_bytes().decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None


def _dla_cores(names: Tuple[str, ...], chip: str) -> Optional[int]:
    if chip in ("nvidia,tegra210", "nvidia,tegra186", "nvidia,tegra264"):
        return 0
    # "nvidia,p3768-0000+p3767-0005": the carrier board, then the module.
    parts = [part for name in names for part in name.replace("nvidia,", "").split("+")]
    for number, cores in _DLA_CORES.items():
        if any(part.startswith(number) for part in parts):
            return cores
    return None


def tensorrt_version() -> Optional[str]:
    """The version of TensorRT itself: of its Python package, else of its library; None where neither is here."""
    if is_installed("tensorrt"):
        try:
            return package_version(import_package("tensorrt"), "tensorrt")
        except EngineError:
            pass  # the library may still be whole
    for library in _LIBRARIES:
        try:
            number = int(ctypes.CDLL(library).getInferLibVersion())
        except (OSError, AttributeError):
            continue
        return library_version(number)
    return None


def library_version(number: int) -> str:
    """TensorRT's own number as a version: 8502 is 8.5.2, 100300 is 10.3.0 (NvInferVersion.h)."""
    step = 10_000 if number >= 100_000 else 1_000
    return f"{number // step}.{number % step // 100}.{number % 100}"
