"""Each criterion against its definition, computed another way."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeformer.data.batching import padded_batches
from edgeformer.errors import InputError
from edgeformer.loading.load import load_model
from edgeformer.pruning.importance import IMPORTANCES, shares
from edgeformer.pruning.units import BlockScores, prunable_blocks
from edgeformer.tasks import get_task
from edgeformer_runtime.bundle.manifest import TaskSpec


def numpy_weight(model, path):
    return model.module.get_submodule(path).weight.detach().double().numpy()


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_magnitude_is_the_sum_of_squares_that_go(family, name):
    model = family(name)
    blocks = prunable_blocks(model)
    for block, found in zip(blocks, IMPORTANCES["magnitude"].score(model, blocks, None, 0), strict=True):
        for head in range(block.heads):
            part = slice(head * block.head_dim, (head + 1) * block.head_dim)
            expected = sum(
                (numpy_weight(model, path)[part] ** 2).sum() for path in (block.query, block.key, block.value)
            )
            expected += (numpy_weight(model, block.output)[:, part] ** 2).sum()
            assert float(found.heads[head]) == pytest.approx(expected)
        expected = (numpy_weight(model, block.up[0]) ** 2).sum(1) + (numpy_weight(model, block.down) ** 2).sum(0)
        np.testing.assert_allclose(found.channels.numpy(), expected)


def test_wanda_is_weight_times_input_norm(family, rows):
    model = family("roberta")
    blocks = prunable_blocks(model)
    samples = rows(model, 10)
    seen = {}
    handles = [
        model.module.get_submodule(path).register_forward_pre_hook(
            lambda _, inputs, path=path: seen.setdefault(path, []).append(inputs[0][0].double().numpy())
        )
        for block in blocks
        for path in (block.output, block.down)
    ]
    with torch.no_grad():  # one row at a time: no padding at all
        for feeds in samples.feeds:
            model.callable_module()(*(torch.from_numpy(feeds[spec.name]) for spec in model.inputs))
    for handle in handles:
        handle.remove()
    for block, found in zip(blocks, IMPORTANCES["wanda"].score(model, blocks, samples, 0), strict=True):
        for path, scores in ((block.output, found.heads), (block.down, found.channels)):
            x = np.concatenate(seen[path])
            each = (np.abs(numpy_weight(model, path)) * np.sqrt((x**2).mean(0))) ** 2
            expected = each.sum(0).reshape(len(scores), -1).sum(1)
            np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_taylor_is_the_squared_sum_of_weight_times_gradient(family, rows, name):
    """A gate scales the columns that read a unit, so its derivative is Σ w·∂L/∂w over them, row by row."""
    model = family(name)
    blocks = prunable_blocks(model)
    samples = rows(model, 10, labels=3)
    found = IMPORTANCES["taylor"].score(model, blocks, samples, 0)
    module = model.copy_module().requires_grad_(True)
    run = model.with_module(module).callable_module()
    expected = [[0.0, 0.0] for _ in blocks]
    for feeds, target in zip(samples.feeds, samples.targets, strict=True):
        module.zero_grad()
        logits = run(*(torch.from_numpy(feeds[spec.name]) for spec in model.inputs))[0]
        torch.nn.functional.cross_entropy(logits, torch.tensor([target])).backward()
        for number, block in enumerate(blocks):
            for half, (path, units) in enumerate(((block.output, block.heads), (block.down, block.channels))):
                weight = module.get_submodule(path).weight
                gate = (weight * weight.grad).sum(0).reshape(units, -1).sum(1).detach().double()
                expected[number][half] = expected[number][half] + gate.square() / 10
    for scores, (heads, channels) in zip(found, expected, strict=True):
        torch.testing.assert_close(scores.heads, heads, rtol=1e-3, atol=1e-9)
        torch.testing.assert_close(scores.channels, channels, rtol=1e-3, atol=1e-9)


def test_taylor_without_labels_nears_the_fisher_information(family, rows):
    """Draws from the model's own outputs, many times, against the exact expectation over labels."""
    model = family("bert")
    blocks = prunable_blocks(model)
    few = rows(model, 4, seed=3)
    many = replace(few, feeds=few.feeds * 300)
    found = IMPORTANCES["taylor"].score(model, blocks, many, 1)
    exact = [torch.zeros(4, dtype=torch.float64) for _ in blocks]
    for label in range(3):
        for feeds in few.feeds:
            row = replace(few, feeds=(feeds,), targets=(label,))
            with torch.no_grad():
                batch = padded_batches(model, row)[0]
                p = torch.softmax(model.callable_module()(*batch.tensors)[0][0], -1)[label]
            for number, scores in enumerate(IMPORTANCES["taylor"].score(model, blocks, row, 0)):
                exact[number] += scores.heads * float(p) / 4
    for scores, expected in zip(found, exact, strict=True):
        torch.testing.assert_close(scores.heads, expected, rtol=0.25, atol=1e-3 * float(expected.max()))


def test_scores_do_not_change_with_the_seed_where_labels_are_given(family, rows):
    model = family("bert")
    blocks = prunable_blocks(model)
    labelled, bare = rows(model, 12, labels=3), rows(model, 12)
    score = IMPORTANCES["taylor"].score
    assert torch.equal(score(model, blocks, labelled, 0)[0].heads, score(model, blocks, labelled, 1)[0].heads)
    assert torch.equal(score(model, blocks, bare, 4)[0].heads, score(model, blocks, bare, 4)[0].heads)
    assert not torch.equal(score(model, blocks, bare, 4)[0].heads, score(model, blocks, bare, 5)[0].heads)


def test_taylor_leaves_no_hooks_and_works_for_embeddings(tiny_model, rows):
    model = load_model(tiny_model, task="feature-extraction")
    blocks = prunable_blocks(model)
    samples = rows(model, 12)
    samples = replace(samples, feeds=tuple({k: np.minimum(v, 60) for k, v in row.items()} for row in samples.feeds))
    found = IMPORTANCES["taylor"].score(model, blocks, samples, 0)
    assert all((scores.heads > 0).all() and (scores.channels > 0).any() for scores in found)
    assert not any(layer._forward_pre_hooks for layer in model.module.modules())


@pytest.mark.parametrize("importance", ["taylor", "wanda"])
def test_rows_are_needed(family, importance):
    model = family("bert")
    with pytest.raises(InputError, match="needs calibration rows"):
        IMPORTANCES[importance].score(model, prunable_blocks(model), None, 0)


def test_shares_add_up_to_one():
    made = shares([BlockScores(torch.tensor([1.0, 3.0]).double(), torch.zeros(4).double())])[0]
    assert made.heads.tolist() == [0.25, 0.75]
    assert made.channels.tolist() == [0.0] * 4


GENERATOR = torch.Generator().manual_seed(0)
REAL = torch.tensor([[True, True, True], [True, True, False]])


@pytest.mark.parametrize(
    ("task", "outputs", "targets", "expected"),
    [
        (TaskSpec("text-classification", ("a", "b")), [[[0.0, 0.0], [2.0, 0.0]]], [0, 1], [0.6931, 2.1269]),
        (TaskSpec("text-classification", ("a",), regression=True), [[[1.0], [3.0]]], [0.0, 3.0], [0.5, 0.0]),
        (TaskSpec("text-classification", ("a", "b"), multi_label=True), [[[0.0, 0.0]] * 2], [[0], []], [1.3863] * 2),
        (TaskSpec("token-classification", ("a", "b")), [[[[0.0] * 2] * 3] * 2], [[0, -1, 1], [1, -1]], [1.386, 0.693]),
        (TaskSpec("question-answering"), [[[0.0] * 3] * 2] * 2, [[(0, 1)], [(1, 1)]], [2.1972, 1.3863]),
    ],
)  # fmt: skip
def test_losses_of_labelled_rows(task, outputs, targets, expected):
    tensors = [torch.tensor(values) for values in outputs]
    assert get_task(task).row_losses(tensors, REAL, targets, GENERATOR).tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("task", "shape", "count"),
    [
        (TaskSpec("text-classification", ("a", "b")), (2, 2), 1),
        (TaskSpec("text-classification", ("a", "b"), multi_label=True), (2, 2), 1),
        (TaskSpec("text-classification", ("a",), regression=True), (2, 1), 1),
        (TaskSpec("token-classification", ("a", "b")), (2, 3, 2), 1),
        (TaskSpec("question-answering"), (2, 3), 2),
        (TaskSpec("feature-extraction"), (2, 5), 1),
    ],
)
def test_losses_without_labels_have_a_gradient_but_not_at_padding(task, shape, count):
    outputs = [torch.randn(shape, generator=GENERATOR).requires_grad_() for _ in range(count)]
    losses = get_task(task).row_losses(outputs, REAL, None, GENERATOR)
    assert losses.shape == (2,)
    gradients = torch.autograd.grad(losses.sum(), outputs)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    if task.name in ("token-classification", "question-answering"):
        assert all((gradient[1, 2] == 0).all() for gradient in gradients)
