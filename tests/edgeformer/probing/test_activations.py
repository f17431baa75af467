"""Statistics of layer inputs, against plain numpy over rows run one at a time."""

import numpy as np
import pytest
import torch

import edgeformer as ef
from edgeformer.data.batching import padded_batches
from edgeformer.data.synthetic import synthetic
from edgeformer.errors import InputError
from edgeformer.probing.activations import input_statistics

PATHS = ["bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.1.output.dense", "classifier"]


@pytest.fixture
def model(tiny_model):
    return ef.load_model(tiny_model)


def inputs_one_by_one(model, rows, path):
    found = []
    handle = model.module.get_submodule(path).register_forward_pre_hook(
        lambda _, inputs: found.append(inputs[0].reshape(-1, inputs[0].shape[-1]).double().numpy())
    )
    module = model.callable_module()
    with torch.inference_mode():
        for row in rows.feeds:
            module(*(torch.from_numpy(row[spec.name]) for spec in model.inputs))
    handle.remove()
    return np.concatenate(found)


@pytest.mark.parametrize("path", PATHS)
def test_statistics_are_those_of_the_real_positions(model, path):
    rows = synthetic(model.signature, 24)
    found = input_statistics(model, padded_batches(model, rows, 5), [path], gram=True)[path]
    x = inputs_one_by_one(model, rows, path)
    assert found.count == len(x)
    np.testing.assert_allclose(found.gram.numpy(), x.T @ x / len(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.mean.numpy(), x.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.square_mean.numpy(), (x**2).mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.abs_max.numpy(), np.abs(x).max(0), rtol=1e-5)


def test_the_gram_matrix_is_made_only_when_asked_for(model):
    batches = padded_batches(model, synthetic(model.signature, 8))
    assert input_statistics(model, batches, PATHS[:1])[PATHS[0]].gram is None


def test_infinite_activations_name_the_layer(model):
    module = model.copy_module()
    with torch.no_grad():
        module.bert.encoder.layer[0].output.dense.weight[0, 0] = float("inf")
    broken = model.with_module(module)
    with pytest.raises(InputError, match=r"layer bert\.encoder\.layer\.1\.attention\.self\.query: NaN or infinite"):
        input_statistics(
            broken,
            padded_batches(broken, synthetic(broken.signature, 8)),
            ["bert.encoder.layer.1.attention.self.query"],
        )


def test_a_layer_that_never_runs_is_named(tiny_model):
    model = ef.load_model(tiny_model)
    model.module.add_module("unused", torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="layer unused: never ran"):
        input_statistics(model, padded_batches(model, synthetic(model.signature, 8)), ["unused"])
