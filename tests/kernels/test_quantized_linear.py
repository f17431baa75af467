"""QuantizedLinear4 in real sessions against exact integers, and against the portable body."""

import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from local_attention_model import make_session
from quantized_linear_model import make_model, reference, row_scale

from edgeformer_converters.onnx.linear_functions import Features, linear

NAMES = ("QuantizedLinear4", "RowScaledLinear4")


@pytest.fixture
def asked_for(monkeypatch, library):
    """The kernel library, asked for its kernel also where ONNX Runtime's own product is faster."""
    if platform.machine() == "x86_64":
        monkeypatch.setenv("EDGEFORMER_KERNELS_ISA", "AVX2")
    return library


def layer(rng, inputs, outputs, asymmetric=False):
    """Weights, scales, biases and zero points of a random layer, with nibbles at both ends among them."""
    weights = rng.choice([-8, 7], (inputs, outputs)) if rng.random() < 0.3 else rng.integers(-8, 8, (inputs, outputs))
    scale = rng.uniform(0.001, 0.1, outputs).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    return weights, scale, bias, rng.integers(-8, 8, outputs) if asymmetric else None


def one_level(x, weights, scale, zero):
    """What y changes by at most when a level on a tie, of each row, goes the other way; float64 [M, N]."""
    exact = x.astype(np.float64) / np.where(row_scale(x) == 0, 1, row_scale(x))
    ties = (np.abs(np.abs(exact - np.trunc(exact)) - 0.5) < 1e-4).sum(1, keepdims=True)
    largest = np.abs(weights - (0 if zero is None else zero)).max(0) if len(weights) else 0
    return ties * row_scale(x).astype(np.float64) * largest * scale


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 9),
    inputs=st.one_of(st.integers(1, 80), st.sampled_from([384, 767])),
    outputs=st.one_of(st.integers(1, 70), st.just(384)),
    magnitude=st.sampled_from([1e-30, 1.0, 1e30]),
    asymmetric=st.booleans(),
    threads=st.sampled_from([1, 2]),
    name=st.sampled_from(NAMES),
)
def test_equals_exact_integers(asked_for, seed, rows, inputs, outputs, magnitude, asymmetric, threads, name):
    rng = np.random.default_rng(seed)
    weights, scale, bias, zero = layer(rng, inputs, outputs, asymmetric)
    x = (rng.standard_normal((rows, inputs)) * rng.uniform(0.01, 1, (rows, 1)) * magnitude).astype(np.float32)
    x[rng.integers(rows)] *= rng.choice([0, 1, 50])
    session = make_session(make_model(weights, scale, bias, zero, name=name), asked_for, threads)
    (got,) = session.run(None, {"x": x})
    want = reference(x, weights, scale, bias, zero)
    allowed = one_level(x, weights, scale, zero) + 1e-6 * np.maximum(np.abs(want - bias), np.abs(bias))
    assert (np.abs(got - want) <= allowed).all()


def test_any_number_of_leading_axes_and_no_rows_at_all(asked_for):
    rng = np.random.default_rng(0)
    weights, scale, bias, _ = layer(rng, 33, 5)
    session = make_session(make_model(weights, scale, bias), asked_for)
    x = rng.standard_normal((2, 3, 4, 33)).astype(np.float32)
    (whole,) = session.run(None, {"x": x})
    assert whole.shape == (2, 3, 4, 5)
    (row,) = session.run(None, {"x": x[1, 2, 3]})
    assert np.array_equal(row, whole[1, 2, 3])
    assert session.run(None, {"x": x[:0]})[0].shape == (0, 3, 4, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_gives_nan_and_leaves_the_others(asked_for, value):
    rng = np.random.default_rng(0)
    weights, scale, bias, _ = layer(rng, 40, 24)
    session = make_session(make_model(weights, scale, bias), asked_for)
    x = rng.standard_normal((5, 40)).astype(np.float32)
    (before,) = session.run(None, {"x": x})
    x[2, 17] = value
    (after,) = session.run(None, {"x": x})
    assert np.isnan(after[2]).all()
    assert np.array_equal(np.delete(after, 2, 0), np.delete(before, 2, 0))


def test_two_threads_on_one_session(asked_for):
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    weights, scale, bias, _ = layer(rng, 96, 80)
    session = make_session(make_model(weights, scale, bias), asked_for, threads=2)
    rows = [rng.standard_normal((n, 96)).astype(np.float32) for n in range(1, 30)] * 4
    alone = [session.run(None, {"x": x})[0] for x in rows]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: session.run(None, {"x": x})[0], rows))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), asymmetric=st.booleans(), row_scaled=st.booleans())
def test_kernel_and_body_differ_by_the_rounding_of_activations_alone(asked_for, seed, asymmetric, row_scaled):
    """Each rounds an activation by at most one step of its scale, the body's step being that of the loudest row."""
    rng = np.random.default_rng(seed)
    weights, scale, bias, zero = layer(rng, 65, 18, asymmetric)
    x = (rng.standard_normal((6, 65)) * rng.uniform(0.01, 1, (6, 1))).astype(np.float32)
    features = Features(row_scaled)
    model = make_model(weights, scale, bias, zero, name=features.name, body=linear(features, 21))
    (kernel,), (body,) = (make_session(model, library).run(None, {"x": x}) for library in (asked_for, None))
    largest = np.abs(x).max(1, keepdims=True)
    body_step = 2 * largest / 255 if row_scaled else row_scale(x.reshape(1, -1))
    moved = (row_scale(x) + body_step) * np.abs(weights - (0 if zero is None else zero)).sum(0) * scale
    assert (np.abs(kernel - body) <= 1.001 * moved + 1e-5).all()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weights_as_input": True}, "input weights: expected a constant"),
        ({"in_features": 8}, r"expected \[1, \(in_features \+ 1\) / 2, N\] with in_features = 8"),
        ({"in_features": 0}, "with in_features = 0"),
        ({"scale": np.ones(3, np.float32)}, "input scale: expected 4 values, one an output channel, got 3"),
        ({"bias": np.ones((2, 4), np.float32)}, "input bias: expected 4 values, one an output channel, got 8"),
        ({"zero": np.zeros((1, 1, 2), np.int8)}, "input zero: expected 4 values"),
        ({"stored_weights": np.zeros((3, 4), np.uint8)}, "input weights: expected 3 axes, got 2"),
    ],
)
def test_what_does_not_fit_is_refused_when_a_session_is_made(asked_for, changes, problem):
    rng = np.random.default_rng(0)
    weights, scale, bias, _ = layer(rng, 6, 4)
    parts = {"scale": scale, "bias": bias} | {key: changes.pop(key) for key in ("scale", "bias") if key in changes}
    with pytest.raises(Exception, match=problem):
        make_session(make_model(weights, **parts, **changes), asked_for)


def test_an_input_of_another_width_is_refused(asked_for):
    rng = np.random.default_rng(0)
    weights, scale, bias, _ = layer(rng, 6, 4)
    session = make_session(make_model(weights, scale, bias), asked_for)
    with pytest.raises(Exception, match="input x: expected a last axis of 6, got 7 on 2 axes"):
        session.run(None, {"x": np.zeros((2, 7), np.float32)})
