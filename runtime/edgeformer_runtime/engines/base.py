"""What an engine is to the rest of the runtime.

An engine module is imported only when a variant asks for its engine, and imports the engine's own package only in
``availability`` and ``load``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Mapping, Optional, Protocol, Tuple

import numpy as np

from ..bundle.manifest import VariantEntry
from ..terminal import tell

Say = Callable[[str], None]


def to_stderr(message: str) -> None:
    """Where messages about long work go unless the caller takes them."""
    tell(message)


@dataclass(frozen=True)
class Availability:
    """Whether an engine can run a variant on this machine, and the reason when it can't.

    ``detail`` is what else decides how fast and how right the variant runs, beside package and version: native kernels,
    a GPU. A remembered choice or check holds only while it stays the same.
    """

    usable: bool
    engine: str
    package: Optional[str] = None  # the import name found, e.g. "ai_edge_litert"
    version: Optional[str] = None
    reason: Optional[str] = None  # None exactly when usable
    detail: Optional[str] = None


class LoadedModel(Protocol):
    """A variant in memory, ready to run. Shapes are those of the file: padding and splitting happen above.

    ``run`` may be called from several threads at once; an engine that can't do that waits its turn. ``close`` during
    a run lets that run end well.
    """

    label: str  # "onnxruntime 1.31.1 (CPUExecutionProvider)"
    delegation: Tuple[str, ...]  # what ran where, or what was wanted and not used; empty when nothing to say

    def run(self, feeds: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """One inference: {input name: array} to {output name: array}; input dtypes are cast to the file's."""

    def close(self) -> None:
        """Release the engine's memory; calling it twice is harmless."""


class Engine(Protocol):
    """Finds its package and loads variants."""

    name: str

    def availability(self, variant: VariantEntry) -> Availability:
        """Can this machine run ``variant``? Never raises."""

    def load(self, path: Path, variant: VariantEntry, threads: int, say: Say = to_stderr) -> LoadedModel:
        """Load the file at ``path``; raises EngineError with what to install or change.

        ``say`` is called with a sentence when something takes minutes.
        """
