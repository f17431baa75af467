"""The commands of ``edgeformer-run``, one a file, in the order of its help."""

from __future__ import annotations

from typing import Any, Callable, Tuple

from . import bench, info, install, predict, sensors, verify
from .base import Shared

COMMANDS: Tuple[Callable[[Any, Shared], None], ...] = (
    info.add,
    predict.add,
    bench.add,
    verify.add,
    install.add,
    sensors.add,
)

__all__ = ["COMMANDS", "Shared"]
