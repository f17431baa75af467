from __future__ import annotations

import pytest

from edgeformer_runtime.bundle.manifest import TaskSpec, TensorSpec
from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.preprocess.base import Encoded
from edgeformer_runtime.tasks import TASKS, get_task

OUTPUTS = tuple(TensorSpec(name, "float32", ("batch", 2)) for name in ("a", "b"))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_knows_its_outputs(name):
    task = get_task(TaskSpec(name), OUTPUTS)
    assert task.outputs == ("a", "b")
    assert task.cut in ("longest", "second")


def test_a_task_of_a_later_release():
    with pytest.raises(InputError, match=r"task 'dreaming' is unknown .* update"):
        get_task(TaskSpec("dreaming"), OUTPUTS)


def test_an_activation_that_a_task_does_not_have():
    with pytest.raises(RuntimeBundleError, match="activation 'sigmoid': expected none"):
        get_task(TaskSpec("feature-extraction", activation="sigmoid"), OUTPUTS)


def test_tensors_have_no_predictions():
    with pytest.raises(InputError, match=r"Session\.run"):
        get_task(TaskSpec("tensors"), OUTPUTS).predict({"a": 0, "b": 0}, Encoded({}))
