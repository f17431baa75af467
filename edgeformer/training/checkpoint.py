"""Checkpoints: everything that a killed training needs to go on bit by bit as if it had never stopped.

One safetensors file, never a pickle: tensors, and counters as JSON in its header. It appears by one rename after a
sync, so there is the old one or the new one; a digest over the tensors finds what a disk did to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]
FILE = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and counters (plain JSON data)."""

    tensors: Tensors
    state: Mapping[str, Any]


@dataclass
class Checkpoints:
    """The latest checkpoint of one training.

    Args:
        directory: where it lies; made when the first one is written.
        every_seconds: at least this long between two of them, so that writing costs little.
        warn: called with a line of text when a checkpoint can't be used.
    """

    directory: Path
    every_seconds: float = 60.0
    warn: Callable[[str], None] = lambda message: None
    _last: float = field(default_factory=time.monotonic, repr=False)

    @property
    def path(self) -> Path:
        """The file, whether it exists or not."""
        return self.directory / FILE

    def due(self) -> bool:
        """Whether ``every_seconds`` have gone by since the last one."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of the last one; raises OSError (a full disk) and leaves the last one then."""
        self.directory.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().contiguous().clone() for name, tensor in checkpoint.tensors.items()}
        header = {"state": json.dumps(checkpoint.state), "sha256": _digest(tensors)}
        staged = self.directory / f".{FILE}.{os.getpid()}"
        try:
            try:
                save_file(tensors, staged, metadata=header)
            except SafetensorError as error:
                raise OSError(str(error)) from error
            _sync(staged)
            staged.replace(self.path)
            _sync(self.directory)
        finally:
            staged.unlink(missing_ok=True)
            self._last = time.monotonic()

    def load(self) -> Checkpoint | None:
        """The latest checkpoint; None where there is none, or where it is damaged, which ``warn`` is told."""
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            if header["sha256"] != _digest(tensors):
                raise ValueError("its tensors don't match its digest")
            return Checkpoint(tensors, json.loads(header["state"]))
        except (SafetensorError, OSError, ValueError, KeyError, struct.error) as error:
            self.warn(f"checkpoint {self.path} is damaged ({error}): training starts again")
            return None


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Have the system write a file or directory to the disk."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
