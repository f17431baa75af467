"""From what a caller has to what the task says of it: encoders, labels and task of an open bundle."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from .bundle.bundle import Bundle
from .bundle.golden import read_golden
from .errors import InputError
from .preprocess.image_text_rows import ImageTextRows
from .preprocess.registry import KINDS, Encoder, inputs_fed_by, make_encoder
from .tasks import Prediction, get_task
from .tasks.feature_extraction import Embedding
from .tasks.zero_shot_image_classification import (
    ZeroShotImageClassification,
    check_labels,
    check_told_apart,
    stored_vectors,
)
from .variants.self_check import check_preprocessing

_MAX_LABEL_SETS = 16


class Predictor:
    """What ``Session.predict`` and ``Session.embed`` do, by any ``run`` of arrays.

    Every encoder is made when it is first needed, so that a picture needs no tokenizer. ``checks``: golden texts must
    become the tokens that they became at the compile.

    Raises InputError for a task or preprocessing that is none, or none of this release's.
    """

    def __init__(self, bundle: Bundle, run: Callable[[Mapping[str, Any]], Dict[str, np.ndarray]], checks: bool) -> None:
        manifest = bundle.manifest
        self._bundle, self._manifest, self._run, self._checks = bundle, manifest, run, checks
        self.task = get_task(manifest.task, manifest.outputs)
        for skipped in (*manifest.skipped_parts("task"), *manifest.skipped_parts("preprocess")):
            raise InputError(
                f"bundle {manifest.name!r}: {skipped.part} {skipped.name!r}: {skipped.reason}: update "
                "edgeformer-runtime, or use Session.run with arrays"
            )
        self._preprocess = {item.kind: item for item in reversed(manifest.preprocess)}  # the first of a kind counts
        self._encoders: Dict[str, Encoder] = {}
        self._labelled: Dict[Tuple[str, ...], ZeroShotImageClassification] = {}
        if not self.task.kinds:
            raise self._takes_arrays("texts", f"task {manifest.task.name}")
        made = [self._encoder(kind) for kind in self.task.kinds]
        self._rows = made[0] if len(made) == 1 else ImageTextRows(*made)

    def predict(self, items: Sequence[Any], prompt: Optional[str], labels: Optional[Sequence[str]]) -> List[Prediction]:
        """See ``Session.predict``."""
        task = self.task
        if isinstance(task, ZeroShotImageClassification):
            task = self._with_labels(task, labels)
        elif labels is not None:
            raise InputError(f"labels: task {task.spec.name} has those of its model: leave them out")
        results: List[Prediction] = []
        # One row at a time: dynamic int8 has one activation scale a tensor, so rows of a batch would change
        # each other's results, and small devices gain nothing from batches.
        for row in self._rows.rows(items):
            encoded = self._rows.encode_row(row, prompt)
            results.append(task.predict(self._run(encoded.feeds), encoded))
        return results

    def embed(self, items: Sequence[Any], kind: str, prompt: Optional[str]) -> List[Embedding]:
        """See ``Session.embed``."""
        task = self.task
        if kind not in task.embeds:
            gives = f"vectors of {' and '.join(task.embeds)}" if task.embeds else "no vectors"
            raise InputError(f"embed {kind!r}: task {task.spec.name} gives {gives}")
        encoder, output = self._encoder(kind), task.outputs[task.embeds.index(kind)]
        found = []
        for row in encoder.rows(items):
            encoded = encoder.encode_row(row, prompt)
            vector = task.vector(task.output(self._run(encoded.feeds), output))
            found.append(Embedding(encoded.tokens, encoded.truncated, encoded.tokens_cut, vector))
        return found

    def _encoder(self, kind: str) -> Encoder:
        if kind not in self._encoders:
            if kind not in self._preprocess:
                lacks = "tokenizer" if kind == "text" else f"description of its {KINDS[kind].takes}"
                raise self._takes_arrays(KINDS[kind].takes, f"it was compiled from a directory without a {lacks}")
            inputs = inputs_fed_by(kind, list(self._preprocess), self._manifest.inputs)
            made = make_encoder(self._preprocess[kind], self._bundle.read, inputs)
            if kind == "text" and self._checks:
                check_preprocessing(read_golden(self._bundle), made)
            self._encoders[kind] = made
        return self._encoders[kind]

    def _takes_arrays(self, what: str, why: str) -> InputError:
        return InputError(f"bundle {self._manifest.name!r} takes arrays, not {what} ({why}): use Session.run")

    def _with_labels(
        self, task: ZeroShotImageClassification, labels: Optional[Sequence[str]]
    ) -> ZeroShotImageClassification:
        """The task between ``labels``; the bundle's own may come with their vectors, others are run once."""
        own = self._manifest.task
        if labels is None and not own.labels:
            raise InputError(
                f"bundle {self._manifest.name!r} has no labels of its own: name them, predict(…, labels=[…])"
            )
        wanted = check_labels(own.labels if labels is None else labels)
        if wanted not in self._labelled:
            if own.label_vectors is not None and own.labels == wanted:
                vectors = stored_vectors(self._bundle.read(own.label_vectors), len(wanted))
            else:
                found = self.embed(task.texts(wanted), "text", None)
                vectors = check_told_apart(wanted, found)
            if len(self._labelled) >= _MAX_LABEL_SETS:
                self._labelled.clear()
            self._labelled[wanted] = task.with_labels(wanted, vectors)
        return self._labelled[wanted]
