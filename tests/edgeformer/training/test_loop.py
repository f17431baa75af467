"""The loop: it learns, stops, keeps the best, and goes on after a kill as if there was none."""

from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError

from edgeformer.data.encoding import encode
from edgeformer.errors import InputError, RecipeError
from edgeformer.tasks import Metric
from edgeformer.training.checkpoint import Checkpoints
from edgeformer.training.loop import Lessons, Training, torch_threads
from edgeformer.training.settings import TrainingSettings
from edgeformer.training.teacher import Teacher
from edgeformer.training.validation import Score, Validation
from edgeformer.variants.verification import measure, run_torch

from .conftest import make_samples

QUICK = TrainingSettings(epochs=3, learning_rate=3e-3, batch_size=8)
PAIRS = ((0, 0), (1, 1))


@pytest.fixture(scope="module")
def lessons(teacher, rows, validation_rows):
    """The teacher's weights are random, so its distance, not a metric, says how good a student is."""
    unlabelled = replace(validation_rows, targets=None)
    return Lessons(rows, Teacher(teacher, rows, (0, 1)), PAIRS, Validation(teacher, unlabelled, 2.0))


def accuracy(value):
    return Metric("accuracy", value)


def equal(a, b):
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def uninterrupted(student, lessons):
    return Training(student, lessons, QUICK).run()


def test_the_student_comes_close_to_its_teacher(student, uninterrupted):
    first, last = uninterrupted.history[0], uninterrupted.history[-1]
    assert last["validation_loss"] < 0.3 * first["validation_loss"]
    assert uninterrupted.history[3]["features"] < uninterrupted.history[1]["features"]
    assert uninterrupted.stopped == "epochs"
    assert uninterrupted.steps == 3 * 8
    assert set(uninterrupted.parameters) == {name for name, _ in student.module.named_parameters()}


def test_the_given_student_stays_as_it_was(student, lessons):
    before = student.digest()
    Training(student, lessons, replace(QUICK, epochs=1)).run()
    assert student.digest() == before
    assert not any(parameter.requires_grad for parameter in student.module.parameters())


def test_equal_seeds_give_equal_weights(student, lessons, uninterrupted):
    assert equal(Training(student, lessons, QUICK).run().parameters, uninterrupted.parameters)
    other = Training(student, lessons, QUICK, seed=1).run()
    assert not equal(other.parameters, uninterrupted.parameters)


def test_a_student_that_equals_its_teacher_is_kept(teacher, lessons):
    trained = Training(teacher, lessons, replace(QUICK, epochs=1)).run()
    assert trained.best_epoch == 0
    assert trained.parameters is None
    assert trained.history[0]["validation_loss"] == pytest.approx(0, abs=1e-9)


def test_validation_scores_as_verification_does(teacher, student, validation_rows):
    score = Validation(teacher, validation_rows, 2.0).score(student)
    assert score.metric == measure(student.task, run_torch(student, validation_rows.feeds), validation_rows)
    assert score.metric.name == "accuracy"


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", [0, 5, 8, 13, 23])
def test_a_killed_training_ends_with_the_same_weights(student, lessons, uninterrupted, tmp_path, monkeypatch, step):
    """Killed in the first step, within an epoch, at its start, later, and in the last step."""
    original = Training._step

    def killed_at(self, batch, steps):
        if self._at.steps == step:
            raise Killed
        original(self, batch, steps)

    monkeypatch.setattr(Training, "_step", killed_at)
    checkpoints = Checkpoints(tmp_path, every_seconds=0)
    with pytest.raises(Killed):
        Training(student, lessons, QUICK, checkpoints=checkpoints).run()
    monkeypatch.undo()
    said = []
    resumed = Training(student, lessons, QUICK, checkpoints=Checkpoints(tmp_path), progress=said.append)
    done = resumed.run()
    assert equal(done.parameters, uninterrupted.parameters)
    assert done.history == uninterrupted.history
    assert done.seconds > 0
    if step:
        assert f"goes on at step {step + 1}" in said[0]


def test_a_training_killed_after_its_end_only_reads(student, lessons, uninterrupted, tmp_path, monkeypatch):
    Training(student, lessons, QUICK, checkpoints=Checkpoints(tmp_path)).run()
    monkeypatch.setattr(Training, "_step", None)
    assert equal(
        Training(student, lessons, QUICK, checkpoints=Checkpoints(tmp_path)).run().parameters, uninterrupted.parameters
    )


def scored(monkeypatch, values):
    """Validation that says these metrics, one after the other."""
    left = iter(values)
    monkeypatch.setattr(Validation, "score", lambda self, student: Score(1.0, accuracy(next(left))))


def test_the_best_epoch_is_kept_not_the_last(student, lessons, monkeypatch):
    scored(monkeypatch, [0.5, 0.7, 0.9, 0.6])
    trained = Training(student, lessons, QUICK).run()
    assert (trained.best_epoch, trained.stopped) == (2, "epochs")
    scored(monkeypatch, [0.5, 0.7, 0.9])
    until = Training(student, lessons, QUICK)  # the same schedule, looked at after two epochs
    until._at.history.append({"epoch": 0, **until._scored()})
    until._epoch()
    until._epoch()
    assert equal(trained.parameters, until._parameters)


def test_patience_ends_a_training(student, lessons, monkeypatch):
    scored(monkeypatch, [0.5, 0.8, 0.7, 0.8, 0.9])
    trained = Training(student, lessons, replace(QUICK, epochs=9, patience=2)).run()
    assert (trained.best_epoch, trained.stopped, len(trained.history)) == (1, "patience", 4)


def test_equal_metrics_go_by_the_loss():
    assert Score(0.4, accuracy(0.8)).better_than(Score(0.5, accuracy(0.8)))
    assert not Score(0.5, accuracy(0.8)).better_than(Score(0.5, accuracy(0.8)))
    assert not Score(0.1, accuracy(0.7)).better_than(Score(0.5, accuracy(0.8)))
    assert Score(0.1, None).better_than(Score(0.5, None))


def test_without_validation_the_last_epoch_counts(student, lessons):
    trained = Training(student, replace(lessons, validation=None), QUICK).run()
    assert trained.best_epoch == 3
    assert trained.history[-1]["validation_loss"] is None


def test_labels_are_learned(student, teacher):
    """The tiny teacher is random, so only labels can bring the metric up."""
    samples = encode(teacher.signature, make_samples(256, 3), 16)
    judge = Validation(teacher, encode(teacher.signature, make_samples(100, 4), 16), 2.0)
    by_labels = Lessons(samples, Teacher(teacher, samples, ()), (), judge)
    settings = TrainingSettings(epochs=8, learning_rate=3e-3, batch_size=16, responses=0.0, features=0.0, labels=1.0)
    trained = Training(student, by_labels, settings).run()
    assert trained.history[-1]["labels"] < trained.history[1]["labels"]
    assert trained.history[trained.best_epoch]["validation_metric"] > trained.history[0]["validation_metric"] + 0.1


def test_minutes_end_a_training_in_time(student, lessons):
    settings = replace(QUICK, epochs=1_000_000, patience=1_000_000, minutes=0.01)
    trained = Training(student, lessons, settings).run()
    assert trained.stopped == "minutes"
    assert trained.seconds < 10
    assert trained.steps > 0


def test_zeros_of_a_pruned_matrix_stay(student, lessons):
    module = student.copy_module()
    matrix = module.bert.encoder.layer[0].intermediate.dense.weight
    zeros = torch.rand(matrix.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    with torch.no_grad():
        matrix[zeros] = 0
    pruned = student.with_module(module)
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    kept = Training(pruned, lessons, replace(QUICK, epochs=1)).run().parameters[name]
    assert torch.equal(kept == 0, zeros)
    free = Training(pruned, lessons, replace(QUICK, epochs=1, keep_zeros=False)).run().parameters[name]
    assert int((free == 0).sum()) < 0.1 * int(zeros.sum())


def test_a_loss_that_is_not_finite_names_the_step(student, lessons, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(InputError, match=r"no finite number at step \d+ \(epoch 1.*Try learning_rate = "):
        Training(student, lessons, replace(QUICK, learning_rate=1e30, warmup=0.0), checkpoints=checkpoints).run()


def test_what_was_best_survives_a_later_divergence(student, lessons, tmp_path, monkeypatch):
    original = Training._losses

    def diverging(self, batch):
        losses = original(self, batch)
        return {key: loss * float("nan") for key, loss in losses.items()} if self._at.epoch == 3 else losses

    monkeypatch.setattr(Training, "_losses", diverging)
    with pytest.raises(InputError, match=r"epoch 3.*epochs = 2; the best so far is epoch [12]"):
        Training(student, lessons, QUICK, checkpoints=Checkpoints(tmp_path)).run()
    assert any(name.startswith("best/") for name in Checkpoints(tmp_path).load().tensors)


def test_a_full_disk_ends_no_training(student, lessons, uninterrupted, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("edgeformer.training.checkpoint.save_file", full)
    said = []
    trained = Training(student, lessons, QUICK, checkpoints=Checkpoints(tmp_path), progress=said.append).run()
    assert equal(trained.parameters, uninterrupted.parameters)
    assert any("a checkpoint can't be written (No space left on device)" in line for line in said)


def test_tied_weights_stay_tied(teacher, lessons, student):
    module = student.copy_module()
    layers = module.bert.encoder.layer
    layers[1].attention.self.query = layers[0].attention.self.query
    trained = Training(student.with_module(module), lessons, replace(QUICK, epochs=1)).run()
    names = [name for name in trained.parameters if "attention.self.query.weight" in name]
    assert names == ["bert.encoder.layer.0.attention.self.query.weight"]


def test_threads_are_set_back():
    before = torch.get_num_threads()
    seen = []

    def fail():
        seen.append(torch.get_num_threads())
        raise ValueError

    with pytest.raises(ValueError), torch_threads(before + 1):
        fail()
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("setting", "value"),
    [("epochs", 0), ("epochs", 1.5), ("learning_rate", 0.0), ("learning_rate", float("nan")), ("temperature", -1),
     ("features", -0.1), ("warmup", 1.0), ("minutes", 0), ("patience", 0), ("batch_size", 0)],
)  # fmt: skip
def test_settings_out_of_range(setting, value):
    with pytest.raises(RecipeError, match=f"{setting} = "):
        TrainingSettings(**{setting: value})


def test_nothing_to_learn_from():
    with pytest.raises(RecipeError, match="nothing to learn from"):
        TrainingSettings(responses=0, features=0, labels=0)


def test_an_error_rate_is_better_when_lower():
    def wrong(value):
        return Score(0.5, Metric("word_error_rate", value, higher_is_better=False))

    assert wrong(0.1).better_than(wrong(0.2))
    assert not wrong(0.2).better_than(wrong(0.1))
    assert Score.from_entry(wrong(0.2).to_entry()) == wrong(0.2)
