"""What holds for an engine on every machine, so that it can be asked without importing the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from ..bundle.manifest import VariantEntry
from ..device.memory import MIB, Need

_32_BIT_ARM = "armv7l"


@dataclass(frozen=True)
class Taken:
    """Memory that an engine takes for a variant: times the size of its files, and MiB that every variant costs.

    Upper bounds, fitted to what MiniLM's variants took on ONNX Runtime 1.31 and LiteRT 2.3 (x86-64).
    """

    load: int  # the most while it is opened
    held: int  # what stays
    fixed_mib: int = 16

    def of(self, size_bytes: int) -> Need:
        """For files of ``size_bytes``."""
        fixed = self.fixed_mib * MIB
        return Need(self.load * size_bytes + fixed, self.held * size_bytes + fixed)


@dataclass(frozen=True)
class EngineFacts:
    """One engine: where its code is, what else runs its variants, and what installs it.

    Args:
        module: below ``engines``; imported when a variant asks for the engine.
        behind: engines that run a variant made for this one where it can't itself, best first.
        on_request: engines that run such a variant, too, where the caller names them.
        gpu: it computes on a GPU; a variant made for one is right on a CPU, and slow.
        builds: opening a variant for the first time takes minutes.
        memory: what opening a variant takes.
        memory_of_4_bits: the same where weights are stored at 4 bits, if that differs; ``memory_of_float16`` likewise.
        declared_as: names by which a device's profile says that it has the engine.
        comes_with_device: the vendor of the device brings it; no wheel installs it.
        extra: of the device wheel, which installs it; ``extra_armv7l`` the one for 32-bit Arm.
        distributions: packages that bring it, as pip names them.
    """

    module: str
    behind: Tuple[str, ...] = ()
    on_request: Tuple[str, ...] = ()
    gpu: bool = False
    builds: bool = False
    memory: Taken = Taken(2, 2)
    memory_of_4_bits: Optional[Taken] = None
    memory_of_float16: Optional[Taken] = None
    declared_as: Tuple[str, ...] = ()
    comes_with_device: bool = False
    extra: Optional[str] = None
    extra_armv7l: Optional[str] = None
    distributions: Tuple[str, ...] = ()

    @property
    def extras(self) -> Tuple[str, ...]:
        """Every extra of the device wheel that installs it."""
        return tuple(name for name in (self.extra, self.extra_armv7l) if name is not None)

    def extra_on(self, machine: str) -> Optional[str]:
        """The extra that installs it on ``machine`` (as ``platform.machine`` names it); None where none does."""
        return self.extra_armv7l if machine == _32_BIT_ARM else self.extra

    def need(self, variant: VariantEntry) -> Need:
        """What opening ``variant`` takes at most, judged by its size and formats alone."""
        taken = None
        if any(name.startswith("int4") for name in variant.weight_formats):
            taken = self.memory_of_4_bits
        elif "float16" in variant.weight_formats:
            taken = self.memory_of_float16
        return (taken or self.memory).of(variant.size_bytes)
