"""LoRA adapters: read, fitted to their base model, and merged into it."""

from .adapter import Adapter, LowRankUpdate, SavedTensor, TokenRows
from .base_model import BaseChange, fit_base, labels_for_head, refuse_unsaved_heads
from .config import LoraConfig
from .merge import LayerChange, MergeResult, merge_adapters
from .reading import read_adapter
from .tokenizer import tokenizer_directory

__all__ = [
    "Adapter", "BaseChange", "LayerChange", "LoraConfig", "LowRankUpdate", "MergeResult", "SavedTensor", "TokenRows",
    "fit_base", "labels_for_head", "merge_adapters", "read_adapter", "refuse_unsaved_heads",
    "tokenizer_directory",
]  # fmt: skip
