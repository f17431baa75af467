"""Which board this is, by its device tree. What a Jetson's rails add up to depends on the module."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

from .sysfs import text_or_none

_TREE = "proc/device-tree"


@dataclass(frozen=True)
class Module:
    """A Jetson module: the rails whose sum is its power; none where another sensor has the total."""

    name: str
    parts: Tuple[str, ...]  # NVIDIA's part numbers, as in the device tree's "compatible"
    model: str  # regular expression for the device tree's "model", for trees without a part number
    total: Tuple[str, ...]


# Rails: NVIDIA's developer guide, "Power monitors", and the modules' device trees. Where no rail carries the module's
# input, the rails that hang on the input are added: those of the AGX modules. First match wins.
MODULES: Tuple[Module, ...] = (
    Module("Jetson TX1", ("p2180",), r"jetson.tx1\b", ("VDD_IN",)),
    Module("Jetson TX2 NX", ("p3636",), r"TX2 NX", ("VDD_IN",)),
    Module("Jetson TX2", ("p3310", "p3489"), r"\bquill\b|jetson.tx2\b", ("VDD_IN",)),
    Module("Jetson Nano", ("p3448",), r"Jetson Nano\b", ("POM_5V_IN",)),
    Module("Jetson Xavier NX", ("p3668",), r"Xavier NX", ("VDD_IN",)),
    Module("Jetson AGX Xavier", ("p2888",), r"AGX Xavier|Jetson-AGX\Z", ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")),
    Module("Jetson Orin Nano or NX", ("p3767",), r"Orin (Nano|NX)", ("VDD_IN",)),
    Module("Jetson AGX Orin", ("p3701",), r"AGX Orin", ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")),
    Module("Jetson Thor", ("p3834",), r"\bThor\b", ()),
)


def board_model(root: Path) -> Optional[str]:
    """The device tree's name of the board, None where there is none."""
    return text_or_none(root / _TREE / "model")


def jetson_module(root: Path) -> Optional[Module]:
    """The Jetson module of this board; None where it is none, or none that is known here."""
    compatible = text_or_none(root / _TREE / "compatible") or ""
    numbers = set(re.findall(r"\bp\d{4}\b", compatible))
    for module in MODULES:
        if numbers & set(module.parts):
            return module
    if "nvidia" not in compatible and "NVIDIA" not in (board_model(root) or "NVIDIA"):
        return None
    model = board_model(root) or ""
    return next((module for module in MODULES if re.search(module.model, model, re.IGNORECASE)), None)


def is_raspberry_pi(root: Path) -> bool:
    """A Raspberry Pi of any kind."""
    return (board_model(root) or "").startswith("Raspberry Pi")
