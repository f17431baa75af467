"""A model that reads files, pictures or sounds: one input of a fixed shape, made as the directory's processor says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import torch

from edgeformer_runtime.bundle.manifest import TensorSpec

from ..errors import ModelError
from ..exportable import make_exportable
from ..model.base import Model
from ..model.signature import Preprocess, Signature
from ..tasks import get_task
from .audio_input import audio_input
from .image_input import image_input
from .sources import Asked, Files, Weights, task_spec
from .weights_check import check_finite

_TOLERANCE = 1e-4  # of the largest output: float32 rounding stays far below
SEED = 7
_INPUTS: dict[str, Callable[[Files, str], tuple[Preprocess, tuple[int, int] | None, TensorSpec]]] = {
    "image": image_input,
    "audio": audio_input,
}


def describe_files(files: Files, weights: Weights, task: str, asked: Asked) -> Model:
    """The Model of a directory whose rows are files.

    Raises:
        ModelError: no processor, an input of a shape that the model doesn't take, a setting that only texts have, or a
            family that gives something else as it is compiled than by its own forward.
    """
    name = files.given.resolve().name
    refuse_text_settings(asked, name)
    spec = task_spec(files, weights, task)
    preprocess, size, made = _INPUTS[get_task(spec).reads](files, name)
    _drop_untrained_pooler(weights)
    example = torch.randn(2, *(int(dim) for dim in made.shape[1:]), generator=torch.Generator().manual_seed(SEED))
    model = Model(
        module=weights.module,
        name=name,
        signature=Signature(spec, (made,), (), (preprocess,)),
        example_inputs=(example,),
        architecture=str(files.config.get("model_type", "generic")),
        untrained=weights.untrained & frozenset(weights.module.state_dict()),
        provenance={"model": name, "config": json.dumps(files.config, sort_keys=True)},
        notes=(*files.notes, *weights.notes),
    )
    check_finite(model)
    own = outputs_of(model)
    outputs = get_task(spec).output_specs(int(own[0].shape[-1]))
    model = replace(model, signature=replace(model.signature, outputs=outputs))
    make_exportable(model.module, size)
    check_equal(model, own, outputs_of(model))
    return model


def refuse_text_settings(asked: Asked, name: str) -> None:
    """Raise ModelError where the caller states what only models of texts alone have."""
    options = ("pair", "pooling", "normalize", "dimensions")
    wrong = [option for option in options if getattr(asked, option) not in (None, False)]
    if wrong:
        raise ModelError(f"model {name}: {', '.join(wrong)}: only models of texts alone have that")


def _drop_untrained_pooler(weights: Weights) -> None:
    """A classifier's backbone has no trained pooler; its [CLS] is then the vector that was trained."""
    if any(key.startswith("pooler.") for key in weights.untrained):
        weights.module.register_module("pooler", None)


def outputs_of(model: Model) -> tuple[torch.Tensor, ...]:
    """Of the example's rows; raises ModelError where the family's forward fails on them."""
    try:
        with torch.inference_mode():
            return tuple(model.callable_module()(*model.example_inputs))
    except Exception as error:  # a family's code raises whatever a wrong size happens to hit
        size = "x".join(map(str, model.inputs[0].shape[1:]))
        said = next(iter(str(error).splitlines()), "")[:200]
        raise ModelError(
            f"model {model.name}: the family {model.architecture!r} doesn't run on {model.inputs[0].name} of {size} "
            f"alone, which its processor makes: {type(error).__name__}: {said}"
        ) from error


def check_equal(model: Model, own: tuple[torch.Tensor, ...], ours: tuple[torch.Tensor, ...]) -> None:
    """Raise ModelError where the outputs as compiled are others than the family's own."""
    for before, after in zip(own, ours, strict=True):
        off = float((before - after).abs().max() / before.abs().max().clamp(min=1e-12))
        if not off <= _TOLERANCE:
            raise ModelError(
                f"model {model.name}: the family {model.architecture!r} gives something else as it is compiled than by "
                f"its own forward: {off:.1e} of the largest output. Please report it with the model's config.json"
            )
