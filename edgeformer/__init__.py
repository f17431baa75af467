"""edgeformer: compile a fine-tuned transformer and its LoRA adapter into one verified bundle for small devices.

    import edgeformer as ef
    bundle = ef.compile("model/", adapters=["lora/"], devices=["raspberry-pi-5"], evaluation="test.csv", output="out/")

Names are imported when they are first used, so that ``import edgeformer`` doesn't wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .compiler import InputOptions, compile
    from .errors import (
        AdapterError,
        EdgeformerError,
        GateError,
        InputError,
        ModelError,
        RecipeError,
        SamplesError,
    )
    from .model import Model, from_module, load_model
    from .passes.merge_lora import AdapterSource, MergeLora
    from .passes.quantize import Quantize
    from .recipe import ExportSettings, Gate, Recipe

_NAMES = {
    "AdapterError": "errors",
    "AdapterSource": "passes.merge_lora",
    "EdgeformerError": "errors",
    "ExportSettings": "recipe",
    "Gate": "recipe",
    "GateError": "errors",
    "InputError": "errors",
    "InputOptions": "compiler",
    "MergeLora": "passes.merge_lora",
    "Model": "model",
    "ModelError": "errors",
    "Quantize": "passes.quantize",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "SamplesError": "errors",
    "compile": "compiler",
    "from_module": "model",
    "load_model": "model",
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
    "EdgeformerError",
    "ExportSettings",
    "Gate",
    "GateError",
    "InputError",
    "InputOptions",
    "MergeLora",
    "Model",
    "ModelError",
    "Quantize",
    "Recipe",
    "RecipeError",
    "SamplesError",
    "__version__",
    "compile",
    "from_module",
    "load_model",
]
