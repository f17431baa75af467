"""From a model's outputs to results, one function a task. Arrays hold one row, without padding."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

import numpy as np

from ..bundle.manifest import Manifest, TaskSpec
from ..errors import RuntimeBundleError
from ..preprocess.text import EncodedText
from .results import Answer, Classification, Embedding, Entity, Prediction, Regression, TokenClassification

MULTI_LABEL_THRESHOLD = 0.5
MAX_ANSWER_TOKENS = 30


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last dimension, in float64."""
    shifted = logits.astype(np.float64) - np.max(logits, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function, in float64; the form by tanh doesn't overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64))))


def predict(
    manifest: Manifest, outputs: Dict[str, np.ndarray], encoded: EncodedText, text: str, second: Optional[str]
) -> Prediction:
    """The result of one row, by the manifest's task. ``outputs``: {name: array [1, …]}."""
    arrays = [_finite(spec.name, outputs[spec.name]) for spec in manifest.outputs]
    task = manifest.task
    if task.name == "text-classification":
        return regression(task, arrays[0], encoded) if task.regression else classification(task, arrays[0], encoded)
    if task.name == "token-classification":
        return token_classification(task, arrays[0], encoded, text)
    if task.name == "feature-extraction":
        return embedding(arrays[0], encoded)
    if task.name == "question-answering":
        if len(arrays) < 2:
            raise RuntimeBundleError("task question-answering: expected outputs for start and end, got one")
        return answer(arrays[0], arrays[1], encoded, second or "")
    raise RuntimeBundleError(f"task {task.name!r} has no text predictions: use Session.run with arrays")


def classification(task: TaskSpec, logits: np.ndarray, encoded: EncodedText) -> Classification:
    """``logits`` [1, labels]."""
    row = _labelled(task, logits, 2)[0]
    probabilities = activated(task, row)
    best = int(np.argmax(probabilities))
    scores = {label: float(probabilities[index]) for index, label in enumerate(task.labels)}
    chosen: Tuple[str, ...] = (task.labels[best],)
    if task.multi_label:
        chosen = tuple(label for label, score in scores.items() if score >= MULTI_LABEL_THRESHOLD)
    return Classification(
        tokens=encoded.tokens,
        truncated=encoded.truncated,
        tokens_cut=encoded.tokens_cut,
        label=task.labels[best],
        score=float(probabilities[best]),
        scores=scores,
        labels=chosen,
    )


def activated(task: TaskSpec, logits: np.ndarray) -> np.ndarray:
    """A text classifier's scores, by the task's activation: [labels], or one number for regression; float64."""
    activation = task.activation
    if activation is None and not task.regression:
        activation = "sigmoid" if task.multi_label else "softmax"
    if activation == "softmax":
        return softmax(logits)
    if activation == "sigmoid":
        return sigmoid(logits)
    values = logits.astype(np.float64)
    return np.asarray(np.tanh(values)) if activation == "tanh" else values


def regression(task: TaskSpec, logits: np.ndarray, encoded: EncodedText) -> Regression:
    """``logits`` [1, 1] or [1]."""
    if logits.size != 1:
        raise RuntimeBundleError(f"task regression: expected one number a text, got shape {list(logits.shape)}")
    value = float(activated(task, logits).reshape(-1)[0])
    return Regression(encoded.tokens, encoded.truncated, encoded.tokens_cut, value)


def token_classification(task: TaskSpec, logits: np.ndarray, encoded: EncodedText, text: str) -> TokenClassification:
    """``logits`` [1, tokens, labels]. A word's label is that of its first token, as models are trained."""
    probabilities = softmax(_labelled(task, logits, 3)[0])
    words = _words(encoded)
    entities: List[Entity] = []
    run: List[Tuple[float, int, int]] = []  # (score, start, end) of the words of the entity at hand
    run_label: Optional[str] = None

    def close_run() -> None:
        if run and run_label is not None:
            start, end = run[0][1], run[-1][2]
            score = float(np.mean([word[0] for word in run]))
            entities.append(Entity(run_label, score, start, end, text[start:end]))
        run.clear()

    for first_token, start, end in words:
        best = int(np.argmax(probabilities[first_token]))
        begins, label = _split_tag(task.labels[best])
        if begins or label != run_label:
            close_run()
        run_label = label
        if label is not None:
            run.append((float(probabilities[first_token, best]), start, end))
    close_run()
    return TokenClassification(encoded.tokens, encoded.truncated, encoded.tokens_cut, tuple(entities))


def embedding(output: np.ndarray, encoded: EncodedText) -> Embedding:
    """``output`` [1, dimensions]: pooling and normalization are part of the model."""
    if output.ndim != 2:
        raise RuntimeBundleError(f"task feature-extraction: expected [1, dimensions], got {list(output.shape)}")
    return Embedding(encoded.tokens, encoded.truncated, encoded.tokens_cut, output[0].astype(np.float32))


def answer(start_logits: np.ndarray, end_logits: np.ndarray, encoded: EncodedText, context: str) -> Answer:
    """``start_logits`` and ``end_logits`` [1, tokens].

    The best span inside the context, of at most 30 tokens, by p(start)·p(end). A model that may answer
    "nothing" is not served: the best span is given however low its score.
    """
    tokens = [index for index, source in enumerate(encoded.texts) if source == 1]
    if start_logits.shape != (1, encoded.tokens) or end_logits.shape != (1, encoded.tokens):
        raise RuntimeBundleError(
            f"task question-answering: expected start and end of shape [1, {encoded.tokens}], got "
            f"{list(start_logits.shape)} and {list(end_logits.shape)}"
        )
    if not tokens:
        return Answer(encoded.tokens, encoded.truncated, encoded.tokens_cut, "", 0.0, 0, 0)
    starts, ends = softmax(start_logits[0, tokens]), softmax(end_logits[0, tokens])
    # upper triangle: the end is not before the start; the band keeps answers short
    products = np.triu(np.outer(starts, ends)) - np.triu(np.outer(starts, ends), MAX_ANSWER_TOKENS)
    first, last = np.unravel_index(int(np.argmax(products)), products.shape)
    start, end = encoded.offsets[tokens[int(first)]][0], encoded.offsets[tokens[int(last)]][1]
    score = float(products[first, last])
    return Answer(encoded.tokens, encoded.truncated, encoded.tokens_cut, context[start:end], score, start, end)


def _words(encoded: EncodedText) -> List[Tuple[int, int, int]]:
    """(first token, first character, end character) of each word; special tokens are in none."""
    words: List[Tuple[int, int, int]] = []
    previous: Optional[int] = None
    for index, word in enumerate(encoded.words):
        if word is None:
            continue
        start, end = encoded.offsets[index]
        if word == previous and words:
            first_token, first_character, _ = words[-1]
            words[-1] = (first_token, first_character, end)
        else:
            words.append((index, start, end))
        previous = word
    return words


def _split_tag(tag: str) -> Tuple[bool, Optional[str]]:
    """Whether a tag begins an entity, and its label: "B-PER" is (True, "PER"), "O" (False, None)."""
    if tag == "O":
        return False, None
    if tag[:2] in ("B-", "I-"):
        return tag[0] == "B", tag[2:]
    return False, tag


def _labelled(task: TaskSpec, logits: np.ndarray, dimensions: int) -> np.ndarray:
    if logits.ndim != dimensions or logits.shape[-1] != len(task.labels) or not task.labels:
        raise RuntimeBundleError(
            f"task {task.name}: {len(task.labels)} labels and {dimensions} dimensions expected, got shape "
            f"{list(logits.shape)}: the manifest doesn't fit the model, compile the bundle again"
        )
    return logits


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise RuntimeBundleError(
            f"output {name!r} holds NaN or infinity: the variant doesn't work on this device, try another one"
        )
    return array
