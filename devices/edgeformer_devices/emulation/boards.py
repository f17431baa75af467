"""Which core stands for which board. Names are those of the profiles."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from edgeformer_runtime.errors import TargetError

# The Debian release that has each Python: what Raspberry Pi OS of the same name brings.
SUITES = {"3.11": "bookworm", "3.13": "trixie"}
ARCHITECTURES = ("arm64", "armhf", "amd64")


@dataclass(frozen=True)
class Board:
    """How a board is emulated.

    Attributes:
        name: that of the board's profile.
        cpu: QEMU's name of the core.
        architecture: Debian's name, one of ARCHITECTURES.
        pythons: versions that can be had, the default first.
        note: what differs from the board.
        cpu_flags: what /proc/cpuinfo says of the core, where QEMU passes on the host's own.
    """

    name: str
    cpu: str
    architecture: str
    pythons: tuple[str, ...] = ("3.11", "3.13")
    note: str = ""
    cpu_flags: str = ""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise TargetError(f"board {self.name}: architecture {self.architecture!r}: expected one of {known}")
        if (self.architecture == "amd64") != bool(self.cpu_flags):
            raise TargetError(f"board {self.name}: cpu_flags are for amd64, and only for it")
        unknown = set(self.pythons) - set(SUITES)
        if unknown or not self.pythons:
            raise TargetError(f"board {self.name}: pythons {self.pythons}: expected some of {', '.join(SUITES)}")


_ORIN = "JetPack 6 has Python 3.10, and a GPU: neither is here"

BOARDS: dict[str, Board] = {
    item.name: item
    for item in (
        Board(
            "raspberry-pi-3",
            "cortex-a7",
            "armhf",
            pythons=("3.11",),
            note="QEMU has no Cortex-A53 with 32 bits; a Cortex-A7 (Armv7, NEON, VFPv4) has none that it lacks",
        ),
        Board("raspberry-pi-zero-2-w", "cortex-a53", "arm64"),
        Board("raspberry-pi-4", "cortex-a72", "arm64"),
        Board("raspberry-pi-5", "cortex-a76", "arm64"),
        Board("jetson-orin-nano", "cortex-a78ae", "arm64", note=_ORIN),
        Board("jetson-agx-orin", "cortex-a78ae", "arm64", note=_ORIN),
        # Not this machine: a processor without VNNI, on which ONNX Runtime has other integer kernels.
        Board(
            "generic-x86-laptop",
            "Haswell-noTSX",
            "amd64",
            note="Intel's Haswell of 2013: AVX2 and FMA, as every processor of the level x86-64-v3 has, without VNNI",
            cpu_flags="fpu sse sse2 ssse3 sse4_1 sse4_2 popcnt aes avx f16c fma bmi1 bmi2 avx2 movbe",
        ),
    )
}


def board(name: str) -> Board:
    """The board called ``name``; raises TargetError naming those that can be emulated."""
    if name not in BOARDS:
        nearest = difflib.get_close_matches(name, BOARDS, n=1)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise TargetError(f"emulated://{name}: {hint}Boards that can be emulated: {', '.join(BOARDS)}")
    return BOARDS[name]
