"""What config.json must say before transformers reads it: a family that transformers knows, and no code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError


def check_family(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes on what of config.json isn't followed.

    Raises:
        ModelError: no ``model_type``, or one that only the model's own code or another transformers knows.
    """
    import transformers
    from transformers import CONFIG_MAPPING

    family = config.get("model_type")
    code = _own_code(config)
    if not isinstance(family, str) or not family:
        # transformers would guess it from the directory's name
        raise ModelError(f"model {path}: config.json has no model_type. Add it{_suggestion(config)}")
    if family in CONFIG_MAPPING:
        return (f"code of its own ({code}) is not run: transformers' {family} is compiled",) if code else ()
    if code:
        raise ModelError(
            f"model {path}: its family {family!r} is code that lies beside the weights ({code}), and edgeformer never "
            "runs a model's own code. Give a version for a family of transformers, or load it yourself and compile it "
            "with edgeformer.from_module"
        )
    raise ModelError(
        f"model {path}: model_type {family!r} is unknown to transformers {transformers.__version__}. It may be spelled "
        "otherwise, or need another version of transformers"
    )


def _own_code(config: Mapping[str, Any]) -> str:
    table = config.get("auto_map")
    classes = table.values() if isinstance(table, Mapping) else ()
    return ", ".join(sorted({str(name) for name in classes if name}))


def _suggestion(config: Mapping[str, Any]) -> str:
    """The line that config.json lacks, where ``architectures`` tells the family."""
    import transformers

    for name in config.get("architectures") or ():
        family = getattr(getattr(getattr(transformers, str(name), None), "config_class", None), "model_type", "")
        if family:
            return f': "model_type": "{family}", as {name} is of that family'
    return ', such as "model_type": "bert"'
