"""recover: fine-tune a compressed model on what the uncompressed one says, until it says nearly the same."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear

from ..context import Tensors
from ..data.encoded import EncodedSamples
from ..errors import InputError, ModelError, RecipeError
from ..model.base import Model
from ..stages import source_digest
from ..tasks import get_task
from ..training.blocks import Pairs, map_blocks
from ..training.checkpoint import Checkpoints
from ..training.loop import Lessons, Trained, Training, torch_threads
from ..training.settings import TrainingSettings
from ..training.teacher import Teacher
from ..training.validation import Validation
from .base import Pass, PassContext, PassResult

# fewer rows are learned by heart
MIN_ROWS = 8


@dataclass(frozen=True)
class Recover(TrainingSettings, Pass):
    """Trains every float parameter; the settings are those of ``TrainingSettings``.

    The teacher is the uncompressed model: after ``extend_positions`` the one with the longer table and full attention,
    so it reads all that the student reads. Long rows need a small ``batch_size``: where the teacher's answers don't fit
    in memory it is asked again for each batch, and its attention grows with the square of the length.

    Training rows need no labels. The best epoch on the validation rows is kept, epoch 0 (nothing learned) among them;
    without validation rows, the last. A killed run goes on where its latest checkpoint was, and ends with the same
    weights.
    """

    name: ClassVar[str] = "recover"

    def requires(self, model: Model, context: PassContext) -> None:
        """Rows to learn from, a teacher that reads the same tokens, and weights that can still be trained."""
        samples, teacher = _training_rows(model, context), _teacher(context)
        if not self.responses and not self.features and self._label_use(model, samples) != "learned":
            raise InputError(
                f"only labels are to be learned, but: {self._label_use(model, samples)}. Set responses = 1"
            )
        if any(isinstance(part, QuantizedLinear | QuantizedEmbedding) for part in model.module.modules()):
            raise RecipeError("integers can't be trained: put recover before quantize")
        if (model.tokenizer, model.inputs) != (teacher.tokenizer, teacher.inputs):
            raise RecipeError(
                "the model reads other tokens than the uncompressed one, which teaches it: put recover before "
                "trim_vocabulary"
            )
        if teacher.untrained:
            raise ModelError(
                f"model {teacher.name}: {sorted(teacher.untrained)[0]} is in no file, so the teacher would say random "
                "things. Give the adapter that holds the trained head (--adapter), or a model saved with its head"
            )

    def run(self, model: Model, context: PassContext) -> PassResult:
        """The model with its best weights; unchanged when training made nothing better."""
        teacher, samples = _teacher(context), _training_rows(model, context)
        validation = None
        if context.data is not None and context.data.validation.samples is not None:
            validation = context.data.validation.encoded(model)

        def train(checkpoints: Checkpoints | None) -> tuple[Tensors, Mapping[str, Any]]:
            with torch_threads(context.threads):
                return self._train(model, teacher, samples, validation, context, checkpoints)

        if context.stages is None:
            tensors, facts = train(None)
        else:
            key = self._key(model, teacher, samples, validation, context)
            with context.stages.scratch("recover", key) as directory:
                checkpoints = Checkpoints(directory, warn=context.progress)
                tensors, facts = context.kept("recover", key, lambda: train(checkpoints))
        if not tensors:
            context.progress(
                "recover: no epoch was better on the validation rows than the weights before it, so nothing is "
                "changed: give more --training rows, or lower learning_rate"
            )
            return PassResult(model, changed=False, facts=facts)
        module = model.copy_module()
        own = dict(module.named_parameters())
        for name, tensor in tensors.items():
            own[name].data.copy_(tensor)
        return PassResult(model.with_module(module), changed=True, facts=facts)

    def _key(
        self,
        model: Model,
        teacher: Model,
        samples: EncodedSamples,
        validation: EncodedSamples | None,
        context: PassContext,
    ) -> dict[str, Any]:
        """All that the weights depend on; threads are among it, since they change the order of sums."""
        return {
            "model": model.digest(),
            "teacher": teacher.digest(),
            "training": samples.digest(),
            "validation": None if validation is None else validation.digest(),
            "settings": asdict(self),
            "threads": context.threads,
            "seed": context.seed,
            "source": source_digest("edgeformer"),
        }

    def _train(
        self,
        model: Model,
        teacher: Model,
        samples: EncodedSamples,
        validation: EncodedSamples | None,
        context: PassContext,
        checkpoints: Checkpoints | None,
    ) -> tuple[Tensors, Mapping[str, Any]]:
        began = time.monotonic()
        pairs, mapping = self._pairs(model, teacher)
        context.progress(f"recover: the teacher answers {len(samples.feeds)} rows")
        answers = Teacher(teacher, samples, [other for _, other in pairs])
        judge = None if validation is None else Validation(teacher, validation, self.temperature)
        lessons = Lessons(samples, answers, pairs, judge)
        training = Training(
            model, lessons, self, seed=context.seed, checkpoints=checkpoints, progress=context.progress, began=began
        )
        trained = training.run()
        facts = {
            **_facts(trained),
            "rows": len(samples.feeds),
            "validation_rows": 0 if validation is None else len(validation.feeds),
            "validation_metric_name": trained.history[0]["validation_metric_name"],
            "labels": self._label_use(model, samples),
            "blocks": {"pairs": [list(pair) for pair in pairs], "mapping": mapping},
            "teacher_kept_in_memory": answers.cached,
            "teacher_kept_reason": answers.reason,
            "threads": context.threads,
        }
        return trained.parameters or {}, facts

    def _pairs(self, model: Model, teacher: Model) -> tuple[Pairs, str]:
        """Blocks to compare, and how they were found, or why there are none."""
        if not self.features:
            return (), "features = 0"
        try:
            return map_blocks(model, teacher)
        except ModelError as error:
            if not self.responses and not self.labels:
                raise
            return (), f"no features are learned: {error}"

    def _label_use(self, model: Model, samples: EncodedSamples) -> str:
        if not self.labels:
            return "labels = 0"
        if samples.targets is None:
            return "not learned: some rows have none"
        return "not learned: the task has no loss for them" if not get_task(model.task).learns_targets else "learned"


def _teacher(context: PassContext) -> Model:
    if context.uncompressed is None:
        raise InputError(
            "recover learns from the uncompressed model, and there is none: run it by run_passes or compile"
        )
    return context.uncompressed


def _training_rows(model: Model, context: PassContext) -> EncodedSamples:
    """Raises InputError where there are too few rows, or where only arrays go in."""
    rows = None if context.data is None else context.data.training
    if rows is None or rows.samples is None:
        raise InputError(
            "recover learns from real rows: give --training FILE or --calibration FILE (labels are not needed)"
        )
    if len(rows) < MIN_ROWS:
        raise InputError(
            f"recover needs at least {MIN_ROWS} training rows, {rows.samples.path} gives {len(rows)}: add rows"
        )
    if get_task(model.task).own_module:
        raise InputError("recover learns from rows; a module of plain tensors has to be trained by its own code")
    found = rows.encoded(model)
    if found.noted is not None:
        context.progress(f"training rows: {found.noted}")
    return found


def _facts(trained: Trained) -> dict[str, Any]:
    return {
        "best_epoch": trained.best_epoch,
        "stopped": trained.stopped,
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
        "epochs": [
            {key: value for key, value in entry.items() if key not in ("validation_metric_name", "higher_is_better")}
            for entry in trained.history
        ],
    }
