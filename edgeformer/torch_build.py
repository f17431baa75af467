"""Whether torch is there, and which build of it to install."""

from __future__ import annotations

import importlib.util

from .errors import InputError

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def require_torch() -> None:
    """Raise InputError where torch isn't installed, with the command that installs its CPU build; imports nothing."""
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            f"torch is not installed: pip install torch --index-url {CPU_INDEX} takes the CPU build (0.2 GB), which is "
            "all that edgeformer uses; a plain pip install torch takes a CUDA build on Linux (3 GB)"
        )


__all__ = ["CPU_INDEX", "require_torch"]
