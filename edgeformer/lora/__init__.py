"""LoRA adapters: read, fitted to their base model, and merged into it."""

from .adapter import Adapter, LowRankUpdate, SavedTensor, TokenRows
from .config import LoraConfig
from .merge import LayerChange, MergeResult, merge_adapters
from .reading import read_adapter

__all__ = [
    "Adapter", "LayerChange", "LoraConfig", "LowRankUpdate", "MergeResult", "SavedTensor", "TokenRows",
    "merge_adapters", "read_adapter",
]  # fmt: skip
