"""A model of two towers, for pictures and for texts, whose vectors are compared: CLIP, SigLIP."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch

from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.tasks.zero_shot_image_classification import TEMPLATE

from ..errors import ModelError
from ..exportable import make_exportable
from ..families import ARCHITECTURES, architecture_for
from ..families.base import Towers
from ..model.base import Model
from ..model.signature import Signature, TextInput
from ..model.tokenizer_files import check_ids, load_tokenizer
from ..tasks import get_task
from .file_model import SEED, check_equal, outputs_of, refuse_text_settings
from .image_input import image_input
from .sources import Asked, Files, Weights
from .text_model import longest_text
from .text_rows import embedding_rows
from .weights_check import check_finite

_EXAMPLE_TOKENS = 16


def describe_image_text(files: Files, weights: Weights, task: str, asked: Asked) -> Model:
    """The Model of a directory with a processor of both: its signature holds the inputs of both towers.

    Raises:
        ModelError: no tokenizer, no image processor, a family with other towers, or labels that are missing.
    """
    name, module = files.given.resolve().name, weights.module
    family = str(files.config.get("model_type", "generic"))
    refuse_text_settings(asked, name)
    towers = architecture_for(family).towers
    if towers is None:
        known = ", ".join(item.name for item in ARCHITECTURES if item.towers is not None)
        raise ModelError(
            f"model {name}: the family {family!r} has towers that nobody described: expected {known}. Its picture "
            "tower alone may be compiled: --task image-feature-extraction, of a model saved without the other"
        )
    loaded = load_tokenizer(weights.tokenizer, module.config)
    if loaded is None:
        raise ModelError(
            f"model {name}: has no tokenizer, which its text tower needs: save the processor with the model"
        )
    image, size, pixels = image_input(files, name)
    config: Any = module.config.get_text_config()  # type: ignore[operator, union-attr]
    longest = longest_text(module, config)
    length = longest if towers.fixed_length and longest else None
    ids = check_ids(loaded.json, embedding_rows(module), weights.tokenizer)
    if length is not None and loaded.pad_token_id is None:
        raise ModelError(
            f"model {name}: its text tower reads texts filled up to {length} tokens, and its tokenizer names no token "
            "for that: add pad_token to tokenizer_config.json, the one that it was trained with"
        )
    pad = loaded.pad_token_id or 0  # where no result depends on it
    text = TextInput(ids, False, loaded.truncation, length or loaded.max_length, pad_to_max=length is not None)
    tokens = TensorSpec("input_ids", "int64", ("batch", length or "sequence"), pad, role="tokens")
    made = Model(
        module=module,
        name=name,
        signature=Signature(
            _task(task, weights, asked, towers), (pixels, tokens), (), (image, text), int(config.vocab_size),
            end_token_id=None if length else _end_token(config),
        ),
        example_inputs=_examples(pixels, config, length or min(_EXAMPLE_TOKENS, longest or _EXAMPLE_TOKENS)),
        architecture=family,
        max_length=longest,
        untrained=weights.untrained,
        provenance={"model": name, "config": json.dumps(files.config, sort_keys=True)},
        notes=(*files.notes, *weights.notes),
    )  # fmt: skip
    check_finite(made)
    own = outputs_of(made)
    outputs = get_task(made.task).output_specs(int(own[0].shape[-1]))
    made = replace(made, signature=replace(made.signature, outputs=outputs))
    make_exportable(module, size)
    check_equal(made, own, outputs_of(made))
    for part in made.parts():  # each tower alone gives what both together give
        check_equal(made, own[made.outputs.index(part.outputs[0]) :][:1], tuple(part.module(*part.example_inputs)))
    return made


def _task(name: str, weights: Weights, asked: Asked, towers: Towers) -> TaskSpec:
    if asked.hypothesis_template is not None and "{}" not in asked.hypothesis_template:
        raise ModelError(
            f"hypothesis template {asked.hypothesis_template!r}: expected a text with {{}} where the label goes, as "
            f"{TEMPLATE!r}"
        )
    bias = getattr(weights.module, "logit_bias", None)
    zero_shot = name == "zero-shot-image-classification"
    spec = TaskSpec(
        name,
        labels=asked.labels if zero_shot else (),
        activation="sigmoid" if towers.sigmoid else "softmax" if zero_shot else None,
        scale=float(weights.module.logit_scale.exp()),  # type: ignore[operator]
        bias=0.0 if bias is None else float(bias),
        hypothesis_template=(asked.hypothesis_template or TEMPLATE) if zero_shot else None,
    )
    if zero_shot and len(spec.labels) < 2:
        raise ModelError(
            "task zero-shot-image-classification: expected at least two labels, got "
            f"{', '.join(spec.labels) or 'none'}: name what pictures may show (--labels A,B,…)"
        )
    return spec


def _end_token(config: Any) -> int | None:
    """The token at whose place a text's vector is taken, which made-up rows must have."""
    found = getattr(config, "eos_token_id", None)
    if found == 2 and int(config.vocab_size) > 2:  # configs from before transformers 4.31: the largest id counts
        return int(config.vocab_size) - 1
    return None if found is None else int(found)


def _examples(pixels: TensorSpec, config: Any, length: int) -> tuple[torch.Tensor, ...]:
    """Two rows: random pixels, and texts that end in an end token."""
    generator = torch.Generator().manual_seed(SEED)
    picture = torch.randn(2, *(int(dim) for dim in pixels.shape[1:]), generator=generator)
    ids = torch.randint(0, int(config.vocab_size), (2, length), generator=generator)
    end = _end_token(config)
    if end is not None:
        ids[:, -1] = end
    return picture, ids
