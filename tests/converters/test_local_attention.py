"""LocalAttention against dense masked attention in float64 numpy, pair by pair as the definition says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_converters.ops import LocalAttention, LocalPattern
from edgeformer_runtime.errors import InputError


def sees(pattern, i, j):
    """The definition, for one query and one key."""
    if pattern.causal and j > i:
        return False
    if i in pattern.global_tokens or j in pattern.global_tokens:
        return True
    steps, rest = divmod(j - i, pattern.dilation)
    return rest == 0 and -pattern.left <= steps <= pattern.right


def dense(query, key, value, keep, pattern, scale, bias):
    """float64 [B, H, S, D] from numpy arrays; rows without a key are 0."""
    batch, heads, length, _ = query.shape
    shared = heads // key.shape[1]
    output = np.zeros(query.shape)
    for b in range(batch):
        for h in range(heads):
            for i in range(length):
                keys = [j for j in range(length) if keep[b, j] and sees(pattern, i, j)]
                if not keys:
                    continue
                scores = key[b, h // shared, keys] @ query[b, h, i] * scale
                if bias is not None:
                    for n, j in enumerate(keys):
                        steps, rest = divmod(j - i, pattern.dilation)
                        if rest == 0 and -pattern.left <= steps <= pattern.right:
                            scores[n] += bias[h, steps + pattern.left]
                weights = np.exp(scores - scores.max())
                output[b, h, i] = weights / weights.sum() @ value[b, h // shared, keys]
    return output


@st.composite
def cases(draw):
    causal = draw(st.booleans())
    left, right = draw(st.integers(0, 40)), 0 if causal else draw(st.integers(0, 40))
    pattern = LocalPattern(
        left if left + right else 1,
        right,
        draw(st.integers(1, 5)),
        tuple(sorted(draw(st.sets(st.integers(0, 45), max_size=4)))),
        causal,
    )
    kv_heads, shared = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return {
        "pattern": pattern,
        "length": draw(st.integers(1, 70)),
        "heads": kv_heads * shared,
        "kv_heads": kv_heads,
        "head_dim": draw(st.sampled_from([1, 3, 8])),
        "biased": draw(st.booleans()),
        "masked": draw(st.sampled_from(["none", "padding", "random", "all"])),
        "seed": draw(st.integers(0, 1000)),
    }


def build(case):
    """The layer, its tensors in float64, and the keep mask."""
    rng = np.random.default_rng(case["seed"])
    batch, length, dim = 2, case["length"], case["head_dim"]
    query = rng.standard_normal((batch, case["heads"], length, dim)) * 2
    key, value = rng.standard_normal((2, batch, case["kv_heads"], length, dim)) * 2
    keep = np.ones((batch, length), bool)
    if case["masked"] == "padding":
        keep[1, length // 2 :] = False
    elif case["masked"] == "random":
        keep = rng.random((batch, length)) < 0.4
    elif case["masked"] == "all":
        keep[0] = False
    bias = rng.standard_normal((case["heads"], case["pattern"].window)).astype(np.float32) if case["biased"] else None
    layer = LocalAttention(
        case["pattern"],
        heads=case["heads"],
        kv_heads=case["kv_heads"],
        head_dim=dim,
        scale=dim**-0.5,
        bias=None if bias is None else torch.from_numpy(bias),
    )
    return layer, (query, key, value), keep, bias


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases())
def test_equals_dense_masked_attention(case):
    layer, arrays, keep, bias = build(case)
    expected = dense(*arrays, keep, case["pattern"], layer.scale, bias)
    tensors = [torch.from_numpy(array) for array in arrays]
    np.testing.assert_allclose(layer(*tensors, torch.from_numpy(keep)).numpy(), expected, atol=1e-10)
    single = layer(*(tensor.float() for tensor in tensors), torch.from_numpy(keep).float())
    np.testing.assert_allclose(single.numpy(), expected, atol=2e-5)
    if keep.all():
        assert torch.equal(layer(*tensors), layer(*tensors, torch.from_numpy(keep)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_mask_and_covers_say_what_the_definition_says(case):
    pattern, length = case["pattern"], case["length"]
    expected = np.array([[sees(pattern, i, j) for j in range(length)] for i in range(length)])
    np.testing.assert_array_equal(pattern.mask(length).numpy(), expected)
    full = np.tri(length, dtype=bool) if pattern.causal else np.ones((length, length), bool)
    if pattern.covers(length):
        assert (expected == full).all()
    elif pattern.dilation == 1 and not pattern.global_tokens:
        assert (expected != full).any()


def test_no_key_at_all_gives_exactly_zero_and_finite_gradients():
    layer = LocalAttention(LocalPattern(2, 1, global_tokens=(0, 3)), heads=2, kv_heads=1, head_dim=4, scale=0.5)
    torch.manual_seed(0)
    tensors = [torch.randn(2, heads, 9, 4, requires_grad=True) for heads in (2, 1, 1)]
    keep = torch.ones(2, 9)
    keep[1] = 0
    output = layer(*tensors, keep)
    assert (output[1] == 0).all()
    assert (output[0] != 0).any()
    output.square().sum().backward()
    for tensor in tensors:
        assert torch.isfinite(tensor.grad).all()
        assert (tensor.grad[1] == 0).all()


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_those_of_the_function(causal):
    pattern = LocalPattern(3, 0 if causal else 2, 2, (1, 8), causal)
    torch.manual_seed(1)
    layer = LocalAttention(pattern, heads=2, kv_heads=1, head_dim=3, scale=0.6, bias=torch.randn(2, pattern.window))
    tensors = [torch.randn(1, heads, 11, 3, dtype=torch.float64, requires_grad=True) for heads in (2, 1, 1)]
    keep = torch.tensor([[1] * 9 + [0] * 2])
    assert torch.autograd.gradcheck(lambda *qkv: layer(*qkv, keep), tensors)


def test_halves_are_computed_in_float32():
    torch.manual_seed(2)
    layer = LocalAttention(LocalPattern.radius(8), heads=2, kv_heads=2, head_dim=16, scale=0.25)
    tensors = [torch.randn(1, 2, 100, 16).half() for _ in range(3)]
    output = layer(*tensors)
    assert output.dtype is torch.float16
    exact = layer(*(tensor.double() for tensor in tensors))
    assert (output - exact).abs().max() < 2e-3


def test_work_grows_with_the_length_and_not_with_its_square():
    """Elements of the largest intermediate result, at twice the length."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.elements = max(self.elements, result.numel())
            return result

    layer = LocalAttention(LocalPattern.radius(16, global_tokens=(0, 5)), heads=1, kv_heads=1, head_dim=8, scale=1.0)
    sizes = []
    for length in (1024, 2048):
        with Largest() as mode:
            layer(*(torch.zeros(1, 1, length, 8) for _ in range(3)))
        sizes.append(mode.elements)
    assert sizes[0] <= 1024 * 2 * (33 + 32)
    assert sizes[1] <= 2.1 * sizes[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"left": 0, "right": 0}, "radius >= 1"),
        ({"left": -1, "right": 2}, "left = -1"),
        ({"left": 1, "right": 1, "dilation": 0}, "dilation = 0"),
        ({"left": 1, "right": 1, "causal": True}, "right = 1 with causal"),
        ({"left": 1, "right": 1, "global_tokens": (3, 3)}, "ascending"),
        ({"left": 1, "right": 1, "global_tokens": (-1,)}, "positions >= 0"),
        ({"left": 1.5, "right": 1}, "left = 1.5"),
        ({"left": 1, "right": 1, "dense_below": -1}, "dense_below = -1"),
        ({"left": 1, "right": 0, "causal": True, "dense_below": 9}, "dense_below = 9 with causal"),
    ],
)
def test_impossible_patterns_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        LocalPattern(**arguments)


def test_radius_is_both_sides_or_the_left_alone():
    assert LocalPattern.radius(4) == LocalPattern(4, 4)
    assert LocalPattern.radius(4, causal=True, global_tokens=[0]) == LocalPattern(4, 0, 1, (0,), True)
    with pytest.raises(InputError, match="radius = 0"):
        LocalPattern.radius(0)


def test_shapes_that_do_not_fit_are_refused():
    pattern = LocalPattern.radius(2)
    with pytest.raises(InputError, match="share"):
        LocalAttention(pattern, heads=3, kv_heads=2, head_dim=4, scale=1.0)
    with pytest.raises(InputError, match="bias has shape"):
        LocalAttention(pattern, heads=2, kv_heads=2, head_dim=4, scale=1.0, bias=torch.zeros(2, 4))
    layer = LocalAttention(pattern, heads=2, kv_heads=2, head_dim=4, scale=1.0)
    good = torch.zeros(1, 2, 6, 4)
    with pytest.raises(InputError, match="Remove heads before"):
        layer(good[:, :1], good, good)
    with pytest.raises(InputError, match="key has shape"):
        layer(good, good[:, :, :5], good)
    with pytest.raises(InputError, match="keep has shape"):
        layer(good, good, good, torch.ones(1, 5))


@pytest.mark.parametrize(("ruled_at", "full_at", "local_at"), [(None, 11, 12), (40, None, 11), (5, 12, None)])
def test_short_inputs_get_full_attention(ruled_at, full_at, local_at):
    """By the input's own length, or by that of the form which is said to run it."""
    torch.manual_seed(3)
    pattern = LocalPattern.radius(2, global_tokens=(0,), dense_below=12)
    layer = LocalAttention(pattern, heads=4, kv_heads=2, head_dim=4, scale=0.5)
    layer.ruled_at = ruled_at
    for length, window in ((full_at, 100), (local_at, 2)):
        if length is None:
            continue
        query, key, value = (torch.randn(2, heads, length, 4).double().numpy() for heads in (4, 2, 2))
        keep = np.ones((2, length), bool)
        keep[0, 7:] = False
        keep[1] = False
        expected = dense(query, key, value, keep, LocalPattern.radius(window, global_tokens=(0,)), 0.5, None)
        got = layer(*(torch.from_numpy(array) for array in (query, key, value)), torch.from_numpy(keep))
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)
        assert (got[1] == 0).all()
    assert pattern.covers(11)
    assert not pattern.covers(12)
    assert bool(pattern.mask(11).all())
    assert not bool(pattern.mask(12).all())


def test_a_bias_of_a_window_has_no_full_form():
    pattern = LocalPattern.radius(2, dense_below=12)
    with pytest.raises(InputError, match="dense_below is 0"):
        LocalAttention(pattern, heads=2, kv_heads=2, head_dim=4, scale=1.0, bias=torch.zeros(2, 5))


def test_settings_show_in_the_print_that_digests_read():
    layer = LocalAttention(LocalPattern.radius(2, global_tokens=(0,)), heads=2, kv_heads=1, head_dim=4, scale=0.5)
    text = repr(layer)
    for part in ("left=2", "global_tokens=(0,)", "heads=2", "kv_heads=1", "scale=0.5", "full_below=8"):
        assert part in text
    assert layer.attributes() == {
        "left": 2, "right": 2, "dilation": 1, "causal": 0, "global_tokens": [0], "scale": 0.5,
    }  # fmt: skip
