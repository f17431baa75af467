"""What tasks decide, and how decisions and targets are judged."""

import numpy as np
import pytest
import torch

from edgeformer.errors import InputError
from edgeformer.tasks import TASKS, Metric, get_task
from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.tasks import TASKS as NAMES

NEWS = TaskSpec("text-classification", ("a", "b", "c"))


def logits(*rows):
    return [{"logits": np.asarray(row, np.float32)} for row in rows]


def test_accuracy_and_agreement():
    first, second = logits([3, 1, 0], [0, 2, 1], [0, 1, 9]), logits([3, 1, 0], [5, 2, 1], [0, 1, 9])
    assert get_task(NEWS).metric(first, [0, 1, 0]).value == pytest.approx(2 / 3)
    assert get_task(NEWS).agreement(first, second) == pytest.approx(2 / 3)


def test_tokens_ignore_unlabelled_positions():
    task = TaskSpec("token-classification", ("O", "X"))
    found = get_task(task).metric(logits([[9, 0], [0, 9], [9, 0]]), [[-1, 1, 1]])
    assert found.value == 0.5


def test_embeddings_agree_by_nearest_neighbour():
    task = TaskSpec("feature-extraction")
    rows = [{"embedding": np.asarray(v, np.float32)} for v in ([1, 0], [0.9, 0.1], [0, 1])]
    assert get_task(task).agreement(rows, rows) == 1.0


def test_answer_overlap():
    task = TaskSpec("question-answering")
    row = {"start_logits": np.eye(6, dtype=np.float32)[1], "end_logits": np.eye(6, dtype=np.float32)[2]}
    assert get_task(task).metric([row], [[(1, 2)]]).value == 1.0
    assert get_task(task).metric([row], [[(2, 3), (4, 5)]]).value == pytest.approx(0.5)


def test_texts_without_a_pair_have_no_score():
    rows = [{"embedding": np.asarray(v, np.float32)} for v in ([1, 0], [0, 1], [1, 1])]
    task = get_task(TaskSpec("feature-extraction"))
    assert task.metric(rows, [0.1, 0.2, 0.3]) is None
    assert task.metric(rows[:2] * 2, [0.5, 0.9]).name == "spearman"


def test_any_text_of_a_picture_is_a_hit():
    """Rows 0 and 1 show one picture, and each is nearest to the other's text."""
    task = get_task(TaskSpec("image-text-similarity"))
    pictures, texts = np.eye(3)[[0, 0, 1]], np.eye(3)[[2, 0, 1]]
    rows = [
        {"image_embeds": picture.astype(np.float32), "text_embeds": text.astype(np.float32)}
        for picture, text in zip(pictures, texts, strict=True)
    ]
    several = [("a cat", "a pet"), ("a pet", "a cat"), ("a dog",)]
    assert task.metric(rows, several).per_sample == (1.0, 1.0, 1.0)
    assert task.metric(rows, [("a cat",), ("a pet",), ("a dog",)]).per_sample == (0.0, 1.0, 1.0)


def test_a_metric_says_which_way_is_better():
    accuracy, error_rate = Metric("accuracy", 0.9), Metric("word_error_rate", 0.2, higher_is_better=False)
    assert accuracy.loss_to(Metric("accuracy", 0.8)) == pytest.approx(0.1)
    assert error_rate.loss_to(Metric("word_error_rate", 0.3, higher_is_better=False)) == pytest.approx(0.1)
    assert error_rate.goodness > Metric("word_error_rate", 0.3, higher_is_better=False).goodness


def test_tasks_that_cut_texts_otherwise_do_not_compare_tokens():
    task = get_task(TaskSpec("token-classification", ("O", "X")))
    assert task.agreement(logits([[1, 0], [0, 1]]), logits([[1, 0]])) is None
    assert task.agreement(logits([[1, 0], [0, 1]], [[1, 0]]), logits([[1, 0], [1, 0]], [[1, 0]])) == pytest.approx(
        2 / 3
    )


def test_devices_know_every_task():
    assert set(TASKS) <= set(NAMES)


def test_an_unknown_task_is_named():
    with pytest.raises(InputError, match="task 'text-to-smell' is unknown: expected one of text-classification"):
        get_task(TaskSpec("text-to-smell"))


def test_a_module_of_ones_own_has_its_own_outputs():
    with pytest.raises(InputError, match="the module's own"):
        get_task(TaskSpec("tensors")).output_specs(3)


def test_the_response_to_oneself_is_nothing_for_plain_tensors():
    task = get_task(TaskSpec("tensors"))
    outputs = [torch.randn(2, 3), torch.randn(2, 5)]
    assert float(task.response_loss(outputs, outputs, torch.ones(2, 1, dtype=torch.bool), 1.0)) == 0.0
