"""What sentence-transformers keeps beside its modules: prompts, lengths, dimensions, similarity, activation.

Read from config_sentence_transformers.json at the top and sentence_bert_config.json beside the encoder. A setting that
changes vectors or scores and isn't followed here is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeformer_runtime.bundle.manifest import SIMILARITIES

from ..errors import ModelError
from ..model.files import read_json

SETTINGS = "config_sentence_transformers.json"
_ENCODER_SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# of the encoder's settings: what would change its vectors, and isn't done here
_NOT_FOLLOWED = ("processing_kwargs", "query_expansion", "query_length", "document_length")
_TASKS = ("feature-extraction", "sequence-classification")
_PLAIN_OUTPUTS = ("last_hidden_state", "logits")


@dataclass(frozen=True)
class SentenceSettings:
    """Settings of a sentence-transformers directory; the defaults are what holds where it says nothing."""

    prompts: Mapping[str, str] = field(default_factory=dict)  # name -> what is put before a text
    default_prompt: str | None = None  # the name of the one that is put there unless asked otherwise
    dimensions: int | None = None  # of a vector, only the first so many
    max_tokens: int | None = None  # where a text is cut, special tokens included
    lower_case: bool = False  # texts are lower-cased before they are tokenized
    similarity: str | None = None  # one of SIMILARITIES
    cross_encoder: bool = False
    activation: str | None = None  # class that a cross-encoder names for its scores


def read_settings(directory: Path, encoder: Path) -> SentenceSettings:
    """The settings of a directory whose encoder lies in ``encoder``.

    Raises:
        ModelError: a setting that isn't followed here, or is wrong: the file, its name, and what was expected.
    """
    whole = _optional(directory / SETTINGS)
    path = directory / SETTINGS
    model_type = whole.get("model_type", "SentenceTransformer")
    if model_type not in ("SentenceTransformer", "CrossEncoder"):
        raise ModelError(
            f"{path}: model_type {model_type!r} is not compiled: expected SentenceTransformer or CrossEncoder"
        )
    prompts = whole.get("prompts") or {}
    if not isinstance(prompts, Mapping) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise ModelError(f"{path}: prompts: expected names and texts, got {json.dumps(prompts)[:80]}")
    default = whole.get("default_prompt_name")
    if default is not None and default not in prompts:
        names = ", ".join(prompts) or "none"
        raise ModelError(f"{path}: default_prompt_name {default!r} is none of its prompts: {names}")
    similarity = {"dot_product": "dot"}.get(whole.get("similarity_fn_name"), whole.get("similarity_fn_name"))  # type: ignore[arg-type]
    if similarity is not None and similarity not in SIMILARITIES:
        raise ModelError(f"{path}: similarity_fn_name {similarity!r}: expected one of {', '.join(SIMILARITIES)}")
    beside = next((encoder / name for name in _ENCODER_SETTINGS if (encoder / name).is_file()), None)
    own = read_json(beside) if beside is not None else {}
    if beside is not None:
        _check_encoder(own, beside)
    return SentenceSettings(
        prompts={str(name): text or "" for name, text in prompts.items()},
        default_prompt=default,
        dimensions=_count(whole.get("truncate_dim"), f"{path}: truncate_dim"),
        max_tokens=_count(own.get("max_seq_length"), f"{beside}: max_seq_length"),
        lower_case=own.get("do_lower_case") is True,
        similarity=similarity,
        cross_encoder=model_type == "CrossEncoder",
        activation=whole.get("activation_fn"),
    )


def is_cross_encoder(directory: Path) -> bool:
    """Whether the directory's own settings say so; older releases say it in config.json alone."""
    return _optional(directory / SETTINGS).get("model_type") == "CrossEncoder"


def lower_cased(tokenizer: str) -> str:
    """A tokenizer.json that lower-cases first, unless one of its own normalizers does (as sentence-transformers)."""
    value = json.loads(tokenizer)
    normalizer = value.get("normalizer")
    steps = normalizer.get("normalizers", []) if normalizer and normalizer.get("type") == "Sequence" else [normalizer]
    steps = [step for step in steps if step]
    if any(step.get("type") == "Lowercase" for step in steps):
        return tokenizer
    value["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *steps]}
    return json.dumps(value, ensure_ascii=False)


def _check_encoder(own: Mapping[str, Any], path: Path) -> None:
    task = own.get("transformer_task", _TASKS[0])
    if task not in _TASKS:
        raise ModelError(f"{path}: transformer_task {task!r} is not compiled: expected one of {', '.join(_TASKS)}")
    for key in _NOT_FOLLOWED:
        if own.get(key):
            raise ModelError(f"{path}: {key} {json.dumps(own[key])[:80]} changes what the encoder reads and is not "
                             "followed here: save the model without it")  # fmt: skip
    modalities = own.get("modality_config")
    if modalities is None:
        return
    text = modalities.get("text") if isinstance(modalities, Mapping) else None
    if not isinstance(text, Mapping) or "message" in modalities:
        found = ", ".join(modalities) if isinstance(modalities, Mapping) else repr(modalities)
        raise ModelError(f"{path}: modality_config: takes {found}: expected plain text, and no chat messages")
    if text.get("method") != "forward" or text.get("method_output_name") not in _PLAIN_OUTPUTS:
        raise ModelError(
            f"{path}: modality_config.text takes {text.get('method_output_name')!r} of {text.get('method')!r}: "
            f"expected one of {', '.join(_PLAIN_OUTPUTS)} of 'forward'"
        )


def _optional(path: Path) -> Mapping[str, Any]:
    return read_json(path) if path.is_file() else {}


def _count(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ModelError(f"{where} {value!r}: expected a number of at least 1")
    return value
