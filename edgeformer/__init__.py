"""edgeformer: compile a fine-tuned transformer and its LoRA adapter into one verified bundle for small devices.

    import edgeformer as ef
    bundle = ef.compile("model/", adapters=["lora/"], devices=["raspberry-pi-5"], evaluation="test.csv", output="out/")

Names are imported when they are first used, so that ``import edgeformer`` doesn't wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .compiler import InputOptions, compile
    from .errors import AdapterError, EdgeformerError, GateError, InputError, ModelError, RecipeError, SamplesError
    from .loading.load import load_model
    from .model.base import Model, from_module
    from .passes.allocate import Allocate
    from .passes.extend_positions import ExtendPositions
    from .passes.local_attention import LocalAttend
    from .passes.merge_lora import AdapterSource, MergeLora
    from .passes.prune_n_m import PruneNM
    from .passes.prune_structured import PruneStructured
    from .passes.prune_unstructured import PruneUnstructured
    from .passes.quantize import Quantize
    from .passes.recover import Recover
    from .passes.smooth import Smooth
    from .passes.trim_vocabulary import TrimVocabulary
    from .recipe import ExportSettings, Gate, Recipe

_NAMES = {
    "AdapterError": "errors",
    "AdapterSource": "passes.merge_lora",
    "Allocate": "passes.allocate",
    "EdgeformerError": "errors",
    "ExportSettings": "recipe",
    "ExtendPositions": "passes.extend_positions",
    "Gate": "recipe",
    "GateError": "errors",
    "InputError": "errors",
    "InputOptions": "compiler",
    "LocalAttend": "passes.local_attention",
    "MergeLora": "passes.merge_lora",
    "Model": "model.base",
    "ModelError": "errors",
    "PruneNM": "passes.prune_n_m",
    "PruneStructured": "passes.prune_structured",
    "PruneUnstructured": "passes.prune_unstructured",
    "Quantize": "passes.quantize",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "Recover": "passes.recover",
    "SamplesError": "errors",
    "Smooth": "passes.smooth",
    "TrimVocabulary": "passes.trim_vocabulary",
    "compile": "compiler",
    "from_module": "model.base",
    "load_model": "loading.load",
}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'edgeformer' has no attribute {name!r}")
    value = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_NAMES, "__version__"])


__all__ = [
    "AdapterError",
    "AdapterSource",
    "Allocate",
    "EdgeformerError",
    "ExportSettings",
    "ExtendPositions",
    "Gate",
    "GateError",
    "InputError",
    "InputOptions",
    "LocalAttend",
    "MergeLora",
    "Model",
    "ModelError",
    "PruneNM",
    "PruneStructured",
    "PruneUnstructured",
    "Quantize",
    "Recipe",
    "RecipeError",
    "Recover",
    "SamplesError",
    "Smooth",
    "TrimVocabulary",
    "__version__",
    "compile",
    "from_module",
    "load_model",
]
