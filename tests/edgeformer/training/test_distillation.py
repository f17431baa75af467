"""The losses against formulas written out in float64 numpy, their gradients against finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer.tasks import get_task
from edgeformer.training.distillation import feature_loss
from edgeformer_runtime.bundle.manifest import TaskSpec

CLASSES = TaskSpec("text-classification", labels=("a", "b", "c"))
MULTI = TaskSpec("text-classification", labels=("a", "b", "c"), multi_label=True)
REGRESSION = TaskSpec("text-classification", labels=("a",), regression=True)
TOKENS = TaskSpec("token-classification", labels=("a", "b", "c"))
ANSWERS = TaskSpec("question-answering")
EMBEDDING = TaskSpec("feature-extraction")
TASKS = {"classes": CLASSES, "multi": MULTI, "regression": REGRESSION, "tokens": TOKENS, "answers": ANSWERS,
         "embedding": EMBEDDING}  # fmt: skip
LENGTHS = (5, 2, 3)
ROWS, LONGEST = len(LENGTHS), max(LENGTHS)
REAL = torch.arange(LONGEST)[None, :] < torch.tensor(LENGTHS)[:, None]


def outputs_of(task, seed, scale=2.0):
    shapes = {"token-classification": [(ROWS, LONGEST, 3)], "question-answering": [(ROWS, LONGEST)] * 2,
              "feature-extraction": [(ROWS, 7)]}.get(task.name, [(ROWS, max(len(task.labels), 1))])  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) * scale for shape in shapes]


def kl(student, teacher, temperature):
    """T² · Σ p log(p/q) of two vectors of logits, as the paper writes it."""
    p, q = (np.exp(x / temperature) / np.exp(x / temperature).sum() for x in (teacher, student))
    return temperature**2 * float(np.sum(p * np.log(p / q)))


def reference(task, student, teacher, temperature):
    s, t = [x.numpy() for x in student], [x.numpy() for x in teacher]
    if task is ANSWERS:
        pairs = [(s[k][i, :n], t[k][i, :n]) for k in (0, 1) for i, n in enumerate(LENGTHS)]
    elif task is TOKENS:
        pairs = [(s[0][i, j], t[0][i, j]) for i, n in enumerate(LENGTHS) for j in range(n)]
    else:
        pairs = list(zip(s[0], t[0], strict=True))
    if task is REGRESSION:
        return np.mean([(a - b) ** 2 for a, b in pairs])
    if task is EMBEDDING:
        return np.mean([np.sum((a - b) ** 2) / np.sum(b**2) for a, b in pairs])
    if task is MULTI:
        each = [[kl(np.array([x, 0.0]), np.array([y, 0.0]), temperature) for x, y in zip(a, b, strict=True)]
                for a, b in pairs]  # fmt: skip
        return np.mean(np.sum(each, axis=1))
    return np.mean([kl(a, b, temperature) for a, b in pairs])


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.floats(0.5, 8))
def test_responses_equal_the_formula(name, seed, temperature):
    task = TASKS[name]
    student, teacher = outputs_of(task, seed), outputs_of(task, seed + 1)
    found = float(get_task(task).response_loss(student, teacher, REAL, temperature))
    assert found == pytest.approx(reference(task, student, teacher, temperature), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_responses_have_the_gradient_of_finite_differences(name):
    task = TASKS[name]
    student, teacher = outputs_of(task, 1), outputs_of(task, 2)
    for output in student:
        output.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda *s: get_task(task).response_loss(s, teacher, REAL, 2.0), tuple(student))


@pytest.mark.parametrize("name", TASKS)
def test_equal_outputs_cost_nothing_and_pull_nowhere(name):
    task = TASKS[name]
    student = [output.requires_grad_(True) for output in outputs_of(task, 3)]
    loss = get_task(task).response_loss(student, [output.detach() for output in student], REAL, 2.0)
    loss.backward()
    assert abs(float(loss.detach())) < 1e-12
    assert all(float(output.grad.abs().max()) < 1e-12 for output in student)


def test_the_temperature_keeps_the_size_of_gradients():
    """Hinton 2015, section 2: for high temperatures T² · KL has the gradient (s − t) / K of centred logits."""
    student, teacher = outputs_of(CLASSES, 4)[0].requires_grad_(True), outputs_of(CLASSES, 5)[0]
    get_task(CLASSES).response_loss([student], [teacher], REAL, 1e6).backward()
    centred = [x - x.mean(-1, keepdim=True) for x in (student.detach(), teacher)]
    torch.testing.assert_close(student.grad, (centred[0] - centred[1]) / 3 / ROWS, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("task", [TOKENS, ANSWERS], ids=["tokens", "answers"])
def test_what_stands_at_padding_does_not_count(task):
    student, teacher = outputs_of(task, 6), outputs_of(task, 7)
    before = float(get_task(task).response_loss(student, teacher, REAL, 2.0))
    for output in (*student, *teacher):
        output[~REAL] = 50.0
    assert float(get_task(task).response_loss(student, teacher, REAL, 2.0)) == pytest.approx(before, rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), blocks=st.integers(1, 3), scale=st.floats(1e-3, 1e3))
def test_features_are_shares_of_the_teachers_energy(seed, blocks, scale):
    rng = np.random.default_rng(seed)
    s, t = rng.standard_normal((2, blocks, ROWS, LONGEST, 4))
    keep = REAL.numpy()
    wanted = np.mean([((a - b)[keep] ** 2).sum() / (b[keep] ** 2).sum() for a, b in zip(s, t, strict=True)])
    s[:, ~keep] = 1e6  # padding
    found = feature_loss(torch.from_numpy(s * scale), torch.from_numpy(t * scale), REAL)
    assert float(found) == pytest.approx(wanted, rel=1e-9)


def test_features_have_the_gradient_of_finite_differences():
    student = torch.randn(ROWS, LONGEST, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(ROWS, LONGEST, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: feature_loss([s], [teacher], REAL), (student,))


def cross_entropy(logits, label):
    return float(np.log(np.exp(logits).sum()) - logits[label])


def test_labels_of_classes():
    logits = outputs_of(CLASSES, 8)
    wanted = np.mean([cross_entropy(row, label) for row, label in zip(logits[0].numpy(), (2, 0, 1), strict=True)])
    assert float(get_task(CLASSES).label_loss(logits, (2, 0, 1), REAL)) == pytest.approx(wanted)


def test_several_labels_at_once():
    logits = outputs_of(MULTI, 9)
    shares = 1 / (1 + np.exp(-logits[0].numpy()))
    wanted = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    entropy = -(wanted * np.log(shares) + (1 - wanted) * np.log(1 - shares)).sum(1).mean()
    assert float(get_task(MULTI).label_loss(logits, ([0, 2], [], [1]), REAL)) == pytest.approx(entropy)


def test_labels_of_a_regression():
    scores = outputs_of(REGRESSION, 10)
    wanted = np.mean((scores[0].numpy()[:, 0] - [0.5, 2.0, -1.0]) ** 2)
    assert float(get_task(REGRESSION).label_loss(scores, (0.5, 2.0, -1.0), REAL)) == pytest.approx(wanted)


def test_labels_of_tokens_leave_out_those_without():
    logits = outputs_of(TOKENS, 11)
    targets = ([-1, 0, 2, -1, -1], [-1, 1], [-1, -1, -1])
    rows = [(i, j, label) for i, row in enumerate(targets) for j, label in enumerate(row) if label >= 0]
    wanted = np.mean([cross_entropy(logits[0].numpy()[i, j], label) for i, j, label in rows])
    assert float(get_task(TOKENS).label_loss(logits, targets, REAL)) == pytest.approx(wanted)
    assert get_task(TOKENS).label_loss(logits, ([-1] * 5, [-1] * 2, [-1] * 3), REAL) is None


def test_labels_of_answers_are_the_first_span():
    logits = outputs_of(ANSWERS, 12)
    spans = ([(1, 3), (0, 0)], [(0, 1)], [(2, 2)])
    wanted = np.mean(
        [
            cross_entropy(logits[side].numpy()[i, :n], spans[i][0][side])
            for side in (0, 1)
            for i, n in enumerate(LENGTHS)
        ]
    )
    assert float(get_task(ANSWERS).label_loss(logits, spans, REAL)) == pytest.approx(wanted)


def test_scores_of_pairs_teach_no_single_embedding():
    assert get_task(EMBEDDING).label_loss(outputs_of(EMBEDDING, 13), (0.1, 0.2, 0.3), REAL) is None
