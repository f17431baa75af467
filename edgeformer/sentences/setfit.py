"""SetFit: a sentence encoder with a classification head beside it, from a file that runs no code when it is read.

SetFit saves its head as a pickle of scikit-learn or torch objects, which runs whatever it says when it is opened. So
its numbers are taken out of it once, where it was trained (``CONVERSION``), and read here from JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError
from ..model.files import read_json
from ..tasks.module import TaskOptions
from ..tasks.sentence_layers import SENTENCE_LAYERS, Normalize

HEAD = "model_head.json"
_PICKLE = "model_head.pkl"
_CONFIG = "config_setfit.json"

# One line for a shell; {directory} is where the model lies. It runs where setfit is, not here.
CONVERSION = (
    "python -c \"import json, joblib, pathlib; d = '{directory}/'; h = joblib.load(d + 'model_head.pkl'); "
    "l = getattr(h, 'linear', None); e = getattr(h, 'estimators_', [h]); "
    "pathlib.Path(d, 'model_head.json').write_text(json.dumps({{'kind': type(h).__name__, "
    "'multi_class': str(getattr(e[0], 'multi_class', '')), "
    "'solver': str(getattr(e[0], 'solver', '')), "
    "'multi_label': bool(getattr(h, 'multitarget', False)) if l is not None else "
    "hasattr(h, 'estimators_') and bool(getattr(h, 'multilabel_', True)), "
    "'scale': 1 / (h.temperature + h.eps) if l is not None else 1, "
    "'classes': getattr(h, 'classes_').tolist() if hasattr(getattr(h, 'classes_', None), 'tolist') else [], "
    "'coef': l.weight.tolist() if l is not None else [r.tolist() for x in e for r in x.coef_], "
    "'intercept': l.bias.tolist() if l is not None else [float(b) for x in e for b in x.intercept_]}}))\""
)


@dataclass(frozen=True)
class SetFitHead:
    """Logits = vector · weightᵀ + bias; their softmax (sigmoid where ``multi_label``) is SetFit's predict_proba.

    weight: [labels, width] float32; bias: [labels]. ``normalize``: the vector is brought to length 1 first.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    labels: tuple[str, ...]
    multi_label: bool = False
    normalize: bool = False

    def named(self, labels: Sequence[str]) -> tuple[str, ...]:
        """``labels`` as names of the outputs, the head's own where there are none.

        Raises:
            ModelError: another number of labels than outputs.
        """
        if labels and len(labels) != len(self.labels):
            raise ModelError(f"the head has {len(self.labels)} outputs, --labels names {len(labels)}: expected as many")
        return tuple(labels) or self.labels

    def linear(self) -> torch.nn.Linear:
        """The head as a layer."""
        layer = torch.nn.Linear(self.weight.shape[1], self.weight.shape[0])
        layer.load_state_dict({"weight": self.weight, "bias": self.bias})
        return layer.eval().requires_grad_(False)


def is_setfit(directory: Path) -> bool:
    """Whether SetFit saved this directory, so that a head lies beside the encoder."""
    return any((directory / name).is_file() for name in (HEAD, _PICKLE, _CONFIG))


def attach_setfit_head(
    module: torch.nn.Module, options: TaskOptions, width: int, head: SetFitHead
) -> tuple[TaskOptions, int]:
    """Put ``head`` behind what is behind the pooling already; the options that go with it, and the number of logits.

    Args:
        module: an encoder, with its sentence layers where there are any; the head is added to them.
        options: of the embedding.
        width: numbers of the embedding.

    Raises:
        ModelError: the head is for vectors of another width.
    """
    if head.weight.shape[1] != width:
        raise ModelError(
            f"{HEAD}: the head takes vectors of {head.weight.shape[1]} numbers, the encoder makes {width}: "
            "they weren't trained together"
        )
    before = getattr(module, SENTENCE_LAYERS, None)
    layers = torch.nn.Sequential(*(before if isinstance(before, torch.nn.Sequential) else ()))
    if options.normalize or head.normalize:
        layers.append(Normalize())
    module.add_module(SENTENCE_LAYERS, layers.append(head.linear()).eval())
    return replace(options, normalize=False), len(head.labels)


def read_setfit_head(directory: Path) -> SetFitHead:
    """The head in ``model_head.json``.

    Raises:
        ModelError: only the pickle is there (the message holds the command that converts it), or a head whose
            probabilities are no softmax or sigmoid of one linear layer.
    """
    path = directory / HEAD
    if not path.is_file():
        raise ModelError(
            f"model {directory}: SetFit's head is a pickle ({_PICKLE}), which runs code when it is opened, so it is "
            f"not opened here. Write its numbers beside it where setfit is installed: "
            f"{CONVERSION.format(directory=directory)} . Without the head: --task feature-extraction"
        )
    head = read_json(path)
    config = read_json(directory / _CONFIG) if (directory / _CONFIG).is_file() else {}
    try:
        weight, bias = _linear(head)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: not what the conversion writes ({error!r}). Convert the head again") from error
    multi_label = head.get("multi_label") is True
    if not multi_label:
        weight, bias = _one_logit_a_class(path, head, weight, bias)
    labels = _labels(path, head.get("classes") or [], config.get("labels") or [], len(bias))
    return SetFitHead(weight, bias, labels, multi_label, config.get("normalize_embeddings") is True)


def _linear(head: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [rows, width] and bias [rows] as the file has them; ValueError where they are no matrix and vector."""
    scale = float(head.get("scale", 1))
    rows, intercept = head["coef"], head["intercept"]
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise ValueError("rows of different lengths, as in a ClassifierChain")
    weight = scale * torch.tensor(rows, dtype=torch.float64)
    bias = scale * torch.tensor(intercept, dtype=torch.float64)
    if bias.shape != weight.shape[:1] or not math.isfinite(float(weight.sum() + bias.sum())):
        raise ValueError(f"coef {list(weight.shape)} with intercept {list(bias.shape)}")
    return weight.float(), bias.float()


def _one_logit_a_class(
    path: Path, head: Mapping[str, Any], weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """scikit-learn's two classes have one row z: sigmoid(z) is softmax(0, z), or of (-z, z) where it is multinomial."""
    kind, multi_class = head.get("kind"), head.get("multi_class")
    if len(bias) == 1:
        other = -1.0 if multi_class == "multinomial" else 0.0
        return torch.cat([other * weight, weight]), torch.cat([other * bias, bias])
    one_vs_rest = kind == "OneVsRestClassifier" or multi_class == "ovr" or head.get("solver") == "liblinear"
    if one_vs_rest or kind not in ("LogisticRegression", "LogisticRegressionCV", "SetFitHead"):
        raise ModelError(
            f"{path}: a head of kind {kind!r} (one class against the rest): its probabilities are no softmax of one "
            "linear layer. Train it with SetFit's default head, LogisticRegression, or with use_differentiable_head"
        )
    return weight, bias


def _labels(path: Path, classes: Sequence[Any], named: Sequence[Any], count: int) -> tuple[str, ...]:
    """Names of the outputs, in their order: SetFit's ``labels`` by class, else the classes themselves."""
    if not classes:
        names = [str(name) for name in named] or [f"LABEL_{index}" for index in range(count)]
    elif named and all(isinstance(c, int) and not isinstance(c, bool) and 0 <= c < len(named) for c in classes):
        names = [str(named[c]) for c in classes]
    else:
        names = [str(c) for c in classes]
    if len(names) != count or len(set(names)) != count:
        raise ModelError(f"{path}: {count} outputs, but the labels are {', '.join(names)}: expected one name an output")
    return tuple(names)
