"""Putting LocalAttention into models: transformers' registry, families trained local, and what dense heads look at."""

from .registry import IMPLEMENTATION, install, is_local
from .trained_local import TRAINED_LOCAL, keep_windows

__all__ = ["IMPLEMENTATION", "TRAINED_LOCAL", "install", "is_local", "keep_windows"]
