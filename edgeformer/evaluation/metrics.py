"""What a task is judged by: a metric over outputs and targets, and agreement between two models.

Outputs are lists of one entry a sample, each {output name: array without the batch dimension}.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.tasks.postprocess import activated

Outputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Metric:
    """A metric's value; ``correct`` holds a score per sample where the metric is a mean over samples."""

    name: str
    value: float
    per_sample: tuple[float, ...] = ()


def predictions(task: TaskSpec, outputs: Sequence[Outputs]) -> list[Any]:
    """What the model decides for each sample: comparable with ``==``; [] for tasks that decide nothing."""
    if task.name == "text-classification" and not task.regression:
        if task.multi_label:
            return [tuple(np.flatnonzero(row["logits"] > 0)) for row in outputs]
        return [int(np.argmax(row["logits"])) for row in outputs]
    if task.name == "token-classification":
        return [tuple(np.argmax(row["logits"], axis=-1)) for row in outputs]
    if task.name == "feature-extraction" and len(outputs) > 2:
        vectors = np.stack([row["embedding"] for row in outputs])
        similarity = vectors @ vectors.T
        np.fill_diagonal(similarity, -np.inf)
        return [int(index) for index in similarity.argmax(axis=1)]
    if task.name == "question-answering":
        return [(int(np.argmax(row["start_logits"])), int(np.argmax(row["end_logits"]))) for row in outputs]
    return []


def agreement(task: TaskSpec, first: Sequence[Outputs], second: Sequence[Outputs]) -> float | None:
    """Share of equal decisions; None where nothing is decided.

    Token by token for token classification. For embeddings a decision is the nearest other sample, by dot product.
    None as well where the two models cut a text into different tokens and decide by token: there is nothing to match.
    """
    a, b = predictions(task, first), predictions(task, second)
    if not a:
        return None
    by_token = task.name in ("token-classification", "question-answering")
    if by_token and any(_shapes(x) != _shapes(y) for x, y in zip(first, second, strict=True)):
        return None
    if task.name == "token-classification":
        equal = [np.equal(x, y) for x, y in zip(a, b, strict=True)]
        return float(np.concatenate(equal).mean())
    return float(np.mean([x == y for x, y in zip(a, b, strict=True)]))


def _shapes(row: Outputs) -> list[tuple[int, ...]]:
    return [array.shape for array in row.values()]


def metric(task: TaskSpec, outputs: Sequence[Outputs], targets: Sequence[Any]) -> Metric:
    """The task's metric. ``targets`` as ``samples`` gives them; for tokens, label index or -1 for each position."""
    if task.name == "token-classification":
        return _token_accuracy(outputs, targets)
    if task.regression:
        values = [float(activated(task, row["logits"]).reshape(-1)[0]) for row in outputs]
        return Metric("pearson", _correlation(np.asarray(values), np.asarray(targets, float)))
    if task.name == "question-answering":
        scores = [_answer_f1(row, answers) for row, answers in zip(predictions(task, outputs), targets, strict=True)]
        return Metric("answer_overlap_f1", float(np.mean(scores)), tuple(scores))
    decided = predictions(task, outputs)
    if task.multi_label:
        hits = [float(set(map(int, d)) == set(t)) for d, t in zip(decided, targets, strict=True)]
        return Metric("exact_match", float(np.mean(hits)), tuple(hits))
    hits = [float(d == t) for d, t in zip(decided, targets, strict=True)]
    return Metric("accuracy", float(np.mean(hits)), tuple(hits))


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation, ties by average rank."""
    return _correlation(_ranks(np.asarray(first, float)), _ranks(np.asarray(second, float)))


def _token_accuracy(outputs: Sequence[Outputs], targets: Sequence[Sequence[int]]) -> Metric:
    hits: list[float] = []
    for row, labels in zip(outputs, targets, strict=True):
        decided = np.argmax(row["logits"], axis=-1)
        hits += [float(d == t) for d, t in zip(decided, labels, strict=True) if t >= 0]
    return Metric("token_accuracy", float(np.mean(hits)) if hits else float("nan"), tuple(hits))


def _answer_f1(span: tuple[int, int], answers: Sequence[tuple[int, int]]) -> float:
    """Best overlap F1 of a predicted token span with the answers' spans (SQuAD's F1, over token positions)."""
    start, end = span
    predicted = Counter(range(start, end + 1))
    best = 0.0
    for low, high in answers:
        wanted = Counter(range(low, high + 1))
        common = sum((predicted & wanted).values())
        if common:
            precision, recall = common / sum(predicted.values()), common / sum(wanted.values())
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(len(values))
    for value in np.unique(values):
        tied = values == value
        ranks[tied] = ranks[tied].mean()
    return ranks
