from __future__ import annotations

from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime.preprocess.resample import resample

RATES = [8000, 11025, 16000, 22050, 44100, 48000, 12345, 96000]
rate = st.sampled_from(RATES)
seeds = st.integers(0, 2**32 - 1)


def noise(seed, count):
    return np.random.default_rng(seed).standard_normal(count)


def by_the_formula(x, up, down):
    """The documented sum, one product at a time."""
    slower = max(up, down)
    half = 10 * slower
    i = np.arange(2 * half + 1)
    g = np.i0(5 * np.sqrt(1 - ((i - half) / half) ** 2)) / np.i0(5) * np.sinc((i - half) / slower)
    h = up * g / g.sum()
    count = -(-len(x) * up // down)
    y = np.zeros(count)
    for m in range(count):
        for k in range(len(x)):
            place = m * down - k * up + half
            if 0 <= place <= 2 * half:
                y[m] += h[place] * x[k]
    return y


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 7), seeds)
def test_is_the_documented_sum(count, up, down, seed):
    x = noise(seed, count)
    common = gcd(up, down)
    expected = by_the_formula(x, up // common, down // common)
    np.testing.assert_allclose(resample(x, down, up), x if up == down else expected, atol=1e-13)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), rate, rate, seeds)
def test_is_what_scipy_does(count, source, target, seed):
    signal = pytest.importorskip("scipy.signal")
    x = noise(seed, count)
    common = gcd(source, target)
    expected = signal.resample_poly(x, target // common, source // common)
    result = resample(x, source, target)
    assert result.shape == expected.shape == (-(-count * target // source),)
    np.testing.assert_allclose(result, expected, atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), rate, rate, st.integers(0, 500), seeds)
def test_a_limit_gives_the_first_samples(count, source, target, limit, seed):
    x = noise(seed, count)
    np.testing.assert_array_equal(resample(x, source, target, limit), resample(x, source, target)[:limit])


@pytest.mark.parametrize(("hertz", "kept"), [(1000, 1.0), (6000, 1.0), (12000, 0.0), (20000, 0.0)])
def test_what_the_target_can_hold_stays_and_what_it_cannot_goes(hertz, kept):
    t = np.arange(44100) / 44100
    result = resample(np.sin(2 * np.pi * hertz * t), 44100, 16000)
    middle = result[1000:-1000]
    assert np.sqrt(2 * (middle**2).mean()) == pytest.approx(kept, abs=0.01)
    if kept:
        np.testing.assert_allclose(middle, np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)[1000:-1000], atol=0.01)


def test_blocks_join(monkeypatch):
    x = noise(0, 2000)
    whole = resample(x, 44100, 16000)
    monkeypatch.setattr("edgeformer_runtime.preprocess.resample._BLOCK", 100)
    np.testing.assert_allclose(resample(x, 44100, 16000), whole, atol=1e-15)
