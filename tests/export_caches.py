"""Two tables that torch makes anew for every export, a third of a small model's CPU time, made once a process instead.

Both hold which operators torch and its ONNX exporter know, and depend on nothing of the model.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def kept_tables() -> Iterator[None]:
    """Keep both tables; torch must be installed."""
    from torch._export import utils
    from torch.export import decomp_utils, exported_program
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    registry = functools.cache(ONNXRegistry.from_torchlib)
    composite = functools.cache(utils._collect_all_valid_cia_ops)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(registry))
        for module in (utils, decomp_utils, exported_program):
            patch.setattr(module, "_collect_all_valid_cia_ops", lambda: set(composite()))
        yield
