"""What this device is: read from it, never declared. What can't be read is None."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

# The instruction sets that decide how fast int8, fp16 and attention are. Names of /proc/cpuinfo.
_FEATURES = (
    "avx",
    "avx2",
    "f16c",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "neon",
    "asimd",
    "asimdhp",
    "asimddp",
    "fphp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
)

_ARCHITECTURE_ONLY = ("ARMv", "AArch64")  # "ARMv7 Processor rev 3 (v7l)": 32-bit kernels name no model
# Arm's part numbers (MIDR_EL1, implementer 0x41), where /proc/cpuinfo gives no model name.
_ARM_PARTS = {
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
}


@dataclass(frozen=True)
class DeviceFacts:
    """A device as probed. Clock in MHz at the time of probing, memory in bytes."""

    machine: Optional[str]  # "x86_64", "aarch64"
    system: Optional[str]  # "Linux 6.1.0 …"
    device_model: Optional[str]  # of the device tree or DMI: "Raspberry Pi 5 Model B Rev 1.0"
    cpu_model: Optional[str]
    cpu_features: Tuple[str, ...]
    logical_cores: Optional[int]
    physical_cores: Optional[int]
    usable_cores: Optional[int]  # that this process may run on
    memory_total_bytes: Optional[int]
    memory_available_bytes: Optional[int]
    cpu_governor: Optional[str]
    cpu_clock_mhz: Optional[float]
    cpu_max_clock_mhz: Optional[float]
    python: str

    def to_dict(self) -> Dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def probe(root: Path = Path("/")) -> DeviceFacts:
    """Read this device's facts. ``root`` stands in for the file system's root in tests."""
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    memory = _memory(root)
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    return DeviceFacts(
        machine=platform.machine() or None,
        system=f"{platform.system()} {platform.release()}".strip() or None,
        device_model=_device_model(root),
        cpu_model=_cpu_model(cpuinfo),
        cpu_features=_cpu_features(cpuinfo),
        logical_cores=os.cpu_count(),
        physical_cores=_physical_cores(root),
        usable_cores=usable_cores(),
        memory_total_bytes=memory[0],
        memory_available_bytes=memory[1],
        cpu_governor=_text(frequency / "scaling_governor"),
        cpu_clock_mhz=_mhz(frequency / "scaling_cur_freq"),
        cpu_max_clock_mhz=_mhz(frequency / "cpuinfo_max_freq"),
        python=platform.python_version(),
    )


def usable_cores() -> int:
    """The cores that this process may run on, which taskset and containers may have restricted."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_rss_bytes() -> Optional[int]:
    """The most memory that this process has held so far; None where the system doesn't say (Windows).

    On Linux from /proc: getrusage's figure survives exec, so a small program started by a large one would report the
    large one's peak as its own.
    """
    status = _text(Path("/proc/self/status")) or ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024  # bytes on macOS, KiB elsewhere


def _text(path: Path) -> Optional[str]:
    """A small file of /proc or /sys without its NULs and line end; None where it can't be read."""
    try:
        text = path.read_bytes()[:1_000_000].decode("utf-8", "replace").replace("\0", "").strip()
    except OSError:
        return None
    return text or None


def _mhz(path: Path) -> Optional[float]:
    text = _text(path)
    return int(text) / 1000 if text is not None and text.isdigit() else None  # the kernel's unit is kHz


def _device_model(root: Path) -> Optional[str]:
    tree = _text(root / "proc/device-tree/model") or _text(root / "sys/firmware/devicetree/base/model")
    if tree is not None:
        return tree
    parts = [_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")]
    return " ".join(part for part in parts if part) or None


def _fields(cpuinfo: str, key: str) -> List[str]:
    return [value.strip() for value in re.findall(rf"(?m)^{key}[ \t]*:(.*)$", cpuinfo)]


def _cpu_model(cpuinfo: str) -> Optional[str]:
    names = _fields(cpuinfo, "model name")
    if names and not names[0].startswith(_ARCHITECTURE_ONLY):
        return names[0]
    parts = sorted(set(_fields(cpuinfo, "CPU part")))
    if parts and set(_fields(cpuinfo, "CPU implementer")) == {"0x41"}:
        return " + ".join(_ARM_PARTS.get(part, f"Arm part {part}") for part in parts)
    return names[0] if names else platform.processor() or None


def _cpu_features(cpuinfo: str) -> Tuple[str, ...]:
    """Features that every core has, in the order of the list above; empty where the system doesn't say."""
    rows = _fields(cpuinfo, "flags") or _fields(cpuinfo, "Features")
    if not rows:
        return ()
    common = set(rows[0].split()).intersection(*(row.split() for row in rows))
    return tuple(name for name in _FEATURES if name in common)


def _physical_cores(root: Path) -> Optional[int]:
    cores = set()
    for topology in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology"):
        package, core = _text(topology / "physical_package_id"), _text(topology / "core_id")
        if package is None or core is None:
            return None
        # Cores of two Arm clusters may share a number, so the cluster is part of the key where the kernel has
        # one.
        cores.add((package, _text(topology / "cluster_id"), core))
    if cores:
        return len(cores)
    try:
        import psutil
    except ImportError:
        return None
    count = psutil.cpu_count(logical=False)
    return int(count) if count else None


def _memory(root: Path) -> Tuple[Optional[int], Optional[int]]:
    """(total, available) in bytes."""
    text = _text(root / "proc/meminfo")
    if text is not None:
        kib = dict(re.findall(r"(?m)^(\w+):\s+(\d+) kB", text))
        total, available = kib.get("MemTotal"), kib.get("MemAvailable")
        return (int(total) * 1024 if total else None, int(available) * 1024 if available else None)
    try:
        import psutil
    except ImportError:
        return None, None
    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)
