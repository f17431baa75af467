"""How a recovery is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import RecipeError


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a recovery; the defaults were chosen on MiniLM with a third of its heads and half its channels cut.

    Args:
        epochs: how often every row is seen, at most.
        learning_rate: its peak, of AdamW (Loshchilov and Hutter 2019).
        batch_size: rows a step.
        temperature: T of ``distillation.response_loss``.
        responses: weight of that loss.
        features: weight of ``distillation.feature_loss`` over mapped blocks.
        labels: weight of ``distillation.label_loss``; counts only where every row has a label.
        warmup: share of the steps in which the learning rate rises.
        weight_decay: AdamW's, for matrices; biases and normalizations have none.
        max_gradient_norm: gradients longer than this are scaled down to it.
        patience: epochs without a better validation result after which training stops.
        minutes: stop after this time, with the learning rate decaying towards it. What is learned then depends on the
            machine's speed, so None is what repeats.
        keep_zeros: whether zeros stay, in matrices where at least a tenth are exactly zero (pruned without structure).
    """

    epochs: int = 3
    learning_rate: float = 3e-4
    batch_size: int = 32
    temperature: float = 2.0
    responses: float = 1.0
    features: float = 1.0
    labels: float = 0.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    patience: int = 3
    minutes: float | None = None
    keep_zeros: bool = True

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size", "patience"):
            if type(getattr(self, key)) is not int or getattr(self, key) < 1:
                raise RecipeError(f"recover: {key} = {getattr(self, key)!r}: expected an integer of at least 1")
        for key in ("learning_rate", "temperature", "max_gradient_norm", "minutes"):
            value = getattr(self, key)
            if not (key == "minutes" and value is None) and not (math.isfinite(value) and value > 0):
                raise RecipeError(f"recover: {key} = {value}: expected a number above 0")
        for key in ("responses", "features", "labels", "weight_decay"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0):
                raise RecipeError(f"recover: {key} = {value}: expected a number of at least 0")
        if not 0 <= self.warmup < 1:
            raise RecipeError(f"recover: warmup = {self.warmup}: expected a share of at least 0 and below 1")
        if self.responses + self.features + self.labels == 0:
            raise RecipeError("recover: responses, features and labels are all 0: there is nothing to learn from")
