"""From logits to scores between 0 and 1, in float64."""

from __future__ import annotations

import numpy as np

from ..bundle.manifest import TaskSpec


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last dimension, in float64."""
    shifted = logits.astype(np.float64) - np.max(logits, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, in float64; the form by tanh doesn't overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64))))


def activated(task: TaskSpec, logits: np.ndarray) -> np.ndarray:
    """A classifier's scores, by the task's activation: [labels], or one number for regression; float64."""
    activation = task.activation
    if activation is None and not task.regression:
        activation = "sigmoid" if task.multi_label else "softmax"
    if activation == "softmax":
        return softmax(logits)
    if activation == "sigmoid":
        return sigmoid(logits)
    values = logits.astype(np.float64)
    return np.asarray(np.tanh(values)) if activation == "tanh" else values
