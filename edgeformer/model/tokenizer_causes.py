"""Why transformers can't make a fast tokenizer of a directory: the true cause, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from ..errors import ModelError

TEXTLESS = (
    "Save a tokenizer.json beside the model (tokenizer.save_pretrained), or take the tokenizer's files out of the "
    "directory: the bundle then takes token ids (Session.run), no text"
)


def check_class(what: str, settings: dict[str, Any], has_file: bool) -> None:
    """Raise ModelError for a class of tokenizer_config.json that can't become a tokenizer.json, before it is loaded.

    ``has_file``: there is a tokenizer.json, which transformers takes where it doesn't know the class.
    """
    from transformers import PreTrainedTokenizerFast, __version__
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    name = settings.get("tokenizer_class")
    if not isinstance(name, str):
        return
    found = tokenizer_class_from_name(name)
    if found is None:
        if not has_file:
            code = " Its code (auto_map) is never run." if "auto_map" in settings else ""
            raise ModelError(f"{what}: transformers {__version__} knows no class of this name.{code} {TEXTLESS}")
    elif isinstance(found, type) and not issubclass(found, PreTrainedTokenizerFast) and not _is_dummy(found):
        raise ModelError(
            f"{what} is Python code, which no device can run: it has no fast form. Take its files out of the "
            "directory: the bundle then takes token ids (Session.run) that your own code makes"
        )


def check_sentencepiece(what: str) -> None:
    """Raise ModelError where the packages that read a .model file are missing, or don't fit each other."""
    needed = (("sentencepiece", "sentencepiece"), ("google.protobuf", "protobuf"))
    missing = [package for module, package in needed if not _installed(module)]
    if missing:
        raise ModelError(f"{what} needs the packages sentencepiece and protobuf: pip install {' '.join(missing)}")
    try:
        importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    except Exception as error:  # protobuf's own kinds: generated code that is newer than the package
        raise ModelError(
            f"{what} can't be read: {first_line(error)}. pip install --upgrade protobuf, or an older sentencepiece"
        ) from error


def not_loaded(what: str, error: BaseException, settings: dict[str, Any], directory: Path) -> ModelError:
    """The error for whatever a family's own code raised."""
    if (directory / "tokenizer.json").is_file():
        hint = "Take tokenizer_config.json away, and tokenizer.json is used as it is, without settings beside it"
        return ModelError(f"{what} can't be loaded: {first_line(error)}. {hint}")
    missing = _missing_files(settings, directory)
    cause = f"{', '.join(missing)} isn't there" if missing else first_line(error)
    return ModelError(f"{what} can't be loaded: {cause}. {TEXTLESS}")


def _missing_files(settings: dict[str, Any], directory: Path) -> list[str]:
    """Files of a vocabulary that the class reads and the directory hasn't."""
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    found = tokenizer_class_from_name(str(settings.get("tokenizer_class")))
    files = getattr(found, "vocab_files_names", {}).values()
    return [name for name in sorted(files) if name != "tokenizer.json" and not (directory / name).is_file()]


def first_line(error: BaseException) -> str:
    """Kind and text of a foreign error, as part of a sentence."""
    text = " ".join(str(error).split())[:300].rstrip(". ")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_dummy(found: type) -> bool:
    """transformers' stand-in for a class that needs a missing package; its error names the package."""
    return hasattr(found, "_backends")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False
