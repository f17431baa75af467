"""The kernel inside ONNX Runtime against masked dense attention in float64."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from local_attention_model import make_model, make_session, reference

TOLERANCE = {"float32": 1e-5, "float16": 2e-3}


def random_inputs(seed, *, batch=1, heads=2, kv_heads=None, length=50, head_dim=16, dtype="float32"):
    """Standard normal query, key and value, and a keep that keeps everything."""
    generator = np.random.default_rng(seed)
    shapes = [(batch, n, length, head_dim) for n in (heads, kv_heads or heads, kv_heads or heads)]
    feeds = {
        name: generator.standard_normal(shape).astype(dtype)
        for name, shape in zip(("query", "key", "value"), shapes, strict=True)
    }
    return feeds | {"keep": np.ones((batch, length), np.float32)}


def run(library, feeds, threads=1, **pattern):
    pattern["scale"] = pattern.get("scale", feeds["query"].shape[-1] ** -0.5)
    model = make_model(dtype=feeds["query"].dtype.name, bias="bias" in feeds, **pattern)
    got = make_session(model, library, threads).run(None, feeds)[0]
    return got, reference(*(feeds.get(n) for n in ("query", "key", "value", "keep", "bias")), **pattern)


@st.composite
def problems(draw):
    """(inputs, pattern) of any shape; small, since the reference is quadratic."""
    length = draw(st.one_of(st.integers(1, 20), st.integers(1, 260)))
    kv_heads = draw(st.integers(1, 2))
    feeds = random_inputs(
        draw(st.integers(0, 2**32)),
        batch=draw(st.integers(1, 3)),
        heads=kv_heads * draw(st.integers(1, 3)),
        kv_heads=kv_heads,
        length=length,
        head_dim=draw(st.sampled_from([8, 16, 24, 32, 48, 64, 80, 96, 128, 256, 13])),
        dtype=draw(st.sampled_from(["float32", "float32", "float16"])),
    )
    causal = draw(st.booleans())
    left = draw(st.one_of(st.integers(0, 4), st.integers(0, 300)))
    pattern = {
        "left": left,
        "right": 0 if causal else draw(st.one_of(st.just(left), st.integers(0, 300))),
        "dilation": draw(st.one_of(st.just(1), st.integers(1, 80))),
        "causal": int(causal),
        "global_tokens": tuple(sorted(draw(st.sets(st.one_of(st.integers(0, 3), st.integers(0, 400)), max_size=8)))),
    }
    pattern["left"] += pattern["left"] + pattern["right"] == 0
    for row, live in enumerate(draw(st.lists(st.integers(0, length), max_size=len(feeds["keep"])))):
        feeds["keep"][row, live:] = 0
    if draw(st.booleans()):
        width = pattern["left"] + pattern["right"] + 1
        bias = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((feeds["query"].shape[1], width))
        feeds["bias"] = bias.astype(np.float32)
    return feeds, pattern


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(problem=problems())
def test_any_shape_equals_dense_attention(library, problem):
    feeds, pattern = problem
    got, expected = run(library, feeds, threads=2, **pattern)
    assert got.dtype == feeds["query"].dtype
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[got.dtype.name], rtol=TOLERANCE[got.dtype.name])


def test_each_query_reads_only_what_it_may_see(library):
    """A key outside must not matter at all: changing it leaves every other query's bits as they were."""
    feeds = random_inputs(0, heads=1, length=200)
    pattern = {"left": 3, "right": 2, "dilation": 2}
    before, _ = run(library, feeds, **pattern)
    feeds["key"][:, :, 100] += 5
    after, _ = run(library, feeds, **pattern)
    changed = np.flatnonzero((before != after).any(axis=(0, 1, 3)))
    np.testing.assert_array_equal(changed, [96, 98, 100, 102, 104, 106])


def test_a_row_without_keys_is_zero_and_padding_is_never_read(library):
    feeds = random_inputs(1, batch=2, length=90)
    feeds["keep"][0] = 0
    feeds["keep"][1, 40:] = 0
    for name in ("key", "value"):
        feeds[name][0] = np.nan
        feeds[name][1, :, 40:] = np.inf
    got, _ = run(library, feeds, left=4, right=4, global_tokens=(0, 50))
    assert (got[0] == 0).all()
    assert np.isfinite(got).all()
    assert (got[1, :, 45:50] != 0).all()  # they still see the global key 0
    without_globals, _ = run(library, feeds, left=4, right=4)
    assert (without_globals[1, :, 44:] == 0).all()
    assert (without_globals[1, :, :44] != 0).all()


def test_nan_that_is_seen_is_not_hidden(library):
    feeds = random_inputs(2, length=30)
    feeds["query"][0, 0, 7] = np.nan
    got, _ = run(library, feeds, left=2, right=2)
    assert np.isnan(got[0, 0, 7]).all()
    assert np.isfinite(np.delete(got[0, 0], 7, axis=0)).all()


def test_no_denormal_numbers(library):
    """Weights far below the largest become exact zeros: what they would be multiplied with vanishes."""
    feeds = random_inputs(3, heads=1, length=64)
    feeds["query"][:] = 0
    feeds["key"][:] = 0
    feeds["query"][..., 0] = 10
    feeds["key"][..., 0] = -np.arange(64) * 2.0  # scores 0, -20, -40 ...: e^-87 and less from the fifth on
    feeds["value"][:] = 0
    feeds["value"][:, :, 5:] = 1
    got, _ = run(library, feeds, left=64, right=64, scale=1.0)
    assert (got == 0).all()


def test_large_scores_don_t_overflow(library):
    feeds = random_inputs(4, length=100)
    feeds["query"] *= 1e3
    got, expected = run(library, feeds, left=9, right=9)
    np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_results_don_t_depend_on_threads_or_on_the_rest_of_the_batch(library, dtype):
    feeds = random_inputs(5, batch=2, heads=3, length=300, dtype=dtype)
    feeds["keep"][1, 200:] = 0
    one, _ = run(library, feeds, threads=1, left=20, right=20, global_tokens=(0,))
    two, _ = run(library, feeds, threads=2, left=20, right=20, global_tokens=(0,))
    np.testing.assert_array_equal(one, two)
    alone, _ = run(library, {name: array[1:] for name, array in feeds.items()}, left=20, right=20, global_tokens=(0,))
    np.testing.assert_array_equal(one[1:], alone)


def test_an_empty_batch(library):
    got, _ = run(library, random_inputs(6, batch=0, length=5), left=1, right=1)
    assert got.shape == (0, 2, 5, 16)


def test_the_kernel_replaces_the_body_only_where_it_is_registered(library):
    feeds = random_inputs(7)
    model = make_model(left=3, right=3, scale=0.25, body=True)
    body = make_session(model).run(None, feeds)[0]
    kernel = make_session(model, library).run(None, feeds)[0]
    assert (body == 0).all()
    expected = reference(*(feeds[n] for n in ("query", "key", "value", "keep")), left=3, right=3, scale=0.25)
    np.testing.assert_allclose(kernel, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"left": 0, "right": 0}, "one of them > 0, got 0 and 0"),
        ({"left": -1}, "expected both >= 0"),
        ({"dilation": 0}, "dilation: expected >= 1, got 0"),
        ({"global_tokens": [3, 1]}, "ascending positions >= 0, got 1 at index 1"),
        ({"global_tokens": [-1]}, "got -1 at index 0"),
    ],
)
def test_attributes_that_make_no_sense_are_refused(library, attributes, message):
    with pytest.raises(Exception, match=message):
        make_session(make_model(**attributes), library)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("key", (1, 2, 40, 16), r"input key: expected shape \[1, 2, 50, 16\], got \[1, 2, 40, 16\]"),
        ("value", (1, 1, 50, 16), r"input value: expected shape \[1, 2, 50, 16\]"),
        ("keep", (1, 49), r"input keep: expected shape \[1, 50\], got \[1, 49\]"),
        ("bias", (2, 4), r"input bias: expected shape \[2, 3\], got \[2, 4\]"),
        ("query", (1, 3, 50, 16), "multiple of the key's heads, got 3 and 2"),
    ],
)
def test_shapes_that_don_t_fit_are_refused(library, name, shape, message):
    feeds = random_inputs(8) | {"bias": np.zeros((2, 3), np.float32)}
    feeds[name] = np.zeros(shape, np.float32)
    with pytest.raises(Exception, match=message):
        make_session(make_model(bias=True), library).run(None, feeds)


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import edgeformer_kernels, test_local_attention as t
print(edgeformer_kernels.isa())
worst = 0
for seed in range(6):
    dtype = ("float32", "float16")[seed // 3]
    feeds = t.random_inputs(seed, length=150 + seed, head_dim=(16, 40, 64)[seed % 3], dtype=dtype)
    pattern = {"left": 40, "right": 9, "dilation": 1 + seed % 2, "global_tokens": (0, 70)}
    got, expected = t.run(edgeformer_kernels.library_path(), feeds, **pattern)
    worst = max(worst, abs(got - expected).max() / t.TOLERANCE[got.dtype.name])
print(worst)
"""


def in_a_process_with(isa, package, command):
    """The instruction set is chosen once a process."""
    environment = {"EDGEFORMER_KERNELS_ISA": isa, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", command, str(Path(__file__).parent)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_avx2_where_avx512_would_be_taken(library, package):
    done = in_a_process_with("AVX2", package, CHILD)
    if done.stdout.startswith("None"):
        pytest.skip("this CPU has no AVX2")
    assert done.returncode == 0, done.stderr
    isa, worst = done.stdout.split()
    assert isa == "AVX2"
    assert float(worst) <= 1


def test_a_cpu_that_isn_t_covered(library, package):
    command = (
        "import edgeformer_kernels as k, onnxruntime as o; print(k.isa(), k.local_attention_version());"
        "o.SessionOptions().register_custom_ops_library(str(k.library_path()))"
    )
    done = in_a_process_with("none", package, command)
    assert done.stdout.split() == ["None", "1"]
    assert done.returncode != 0
    assert "covers CPUs with AVX2 (FMA, F16C), AVX512 or NEON, not this one" in done.stderr


def test_lengths_around_the_tile(library):
    """Every boundary that the tiling has, with and without a window that ends on it."""
    for length, radius in itertools.product((1, 15, 16, 17, 63, 64, 65, 127, 128, 129), (1, 63, 64, 65, 200)):
        got, expected = run(
            library, random_inputs(length, heads=1, length=length, head_dim=8), left=radius, right=radius
        )
        np.testing.assert_allclose(got, expected, atol=1e-5)
