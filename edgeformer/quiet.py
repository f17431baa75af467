"""Keeping third-party chatter, notices about optional extras and no errors, out of the command line's output."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_backends() -> None:
    """Called by the command line only: a program that imports edgeformer keeps its own logging settings."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in (
        "torchao",
        "torch.utils._pytree",
        "torch.onnx",
        "onnxscript",
        "coremltools",
        "absl",
        "jax",
        "root",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|torchao|transformers|coremltools|litert_torch|jax|copyreg).*")
