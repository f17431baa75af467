from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime.errors import InputError
from edgeformer_runtime.preprocess.log_mel import MEL_SCALES, LogMel, hann, hz_to_mel, log_mel, mel_filters, mel_to_hz

RATE = 8000
PLAIN = LogMel(n_fft=16, hop=5, mels=4, window_length=12, max_hz=4000.0, mel_scale="htk")


def one_by_one(x, how, rate=RATE):
    """The documented steps with loops and the definition of the discrete Fourier transform."""
    length = how.window_length or how.n_fft
    if how.reflect:
        mirrored = length // 2
        x = [x[i] for i in range(mirrored, 0, -1)] + list(x) + [x[len(x) - 2 - i] for i in range(mirrored)]
    bins = how.n_fft // 2 + 1
    filters = mel_filters(
        bins, how.mels, how.min_hz, how.max_hz, rate, how.mel_scale, how.triangles_in_mel, how.area_norm
    )
    rows = []
    for start in range(0, len(x) - length + 1, how.hop):
        frame = np.array(x[start : start + length], dtype=float)
        if how.remove_offset:
            frame -= sum(frame) / length
        frame = [frame[i] - how.preemphasis * frame[max(i - 1, 0)] for i in range(length)]
        period = length if how.window == "hann" else length - 1
        frame = [frame[i] * np.sin(np.pi * i / period) ** 2 for i in range(length)]
        powers = [
            abs(sum(frame[i] * np.exp(-2j * np.pi * i * b / how.n_fft) for i in range(length))) ** 2
            for b in range(bins)
        ]
        sums = [max(sum(powers[b] * filters[b, m] for b in range(bins)), how.log_floor) for m in range(how.mels)]
        rows.append([np.log10(v) if how.log == "log10" else np.log(v) for v in sums])
    rows = np.array(rows[: len(rows) - how.drop_last_frame][: how.frames])
    if how.range is not None:
        rows = np.maximum(rows, rows.max() - how.range)
    if how.frames is not None:
        rows = np.concatenate([rows, np.zeros((how.frames - len(rows), how.mels))])
    rows = (rows - how.mean) / how.std
    return rows if how.layout == "frames_mels" else rows.T


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        LogMel,
        n_fft=st.sampled_from([12, 16]),
        hop=st.integers(1, 12),
        mels=st.integers(1, 6),
        window_length=st.sampled_from([11, 12]),
        reflect=st.booleans(),
        remove_offset=st.booleans(),
        preemphasis=st.sampled_from([0.0, 0.97]),
        window=st.sampled_from(["hann", "hann_symmetric"]),
        min_hz=st.sampled_from([0.0, 20.0]),
        max_hz=st.sampled_from([3000.0, 4000.0]),
        mel_scale=st.sampled_from(MEL_SCALES),
        triangles_in_mel=st.booleans(),
        area_norm=st.booleans(),
        log=st.sampled_from(["natural", "log10"]),
        log_floor=st.sampled_from([1e-10, 1e-3]),
        drop_last_frame=st.booleans(),
        range=st.sampled_from([None, 2.0]),
        frames=st.sampled_from([None, 3]),
        mean=st.sampled_from([0.0, -4.0]),
        std=st.sampled_from([1.0, 4.0]),
        layout=st.sampled_from(["frames_mels", "mels_frames"]),
    ),
    st.integers(0, 40),
    st.integers(0, 2**32 - 1),
)
def test_is_the_documented_steps(how, more, seed):
    x = np.random.default_rng(seed).standard_normal(how.shortest + more)
    np.testing.assert_allclose(log_mel(x, RATE, how), one_by_one(x, how), atol=1e-9)
    with pytest.raises(InputError, match=f"expected at least {how.shortest}"):
        log_mel(x[: how.shortest - 1], RATE, how)


def test_blocks_join(monkeypatch):
    x = np.random.default_rng(0).standard_normal(500)
    whole = log_mel(x, RATE, PLAIN)
    monkeypatch.setattr("edgeformer_runtime.preprocess.log_mel._BLOCK", 7)
    np.testing.assert_allclose(log_mel(x, RATE, PLAIN), whole, atol=1e-12)


def test_silence_is_the_floor():
    assert np.unique(log_mel(np.zeros(40), RATE, PLAIN)).tolist() == [np.log(1e-10)]


@pytest.mark.parametrize("scale", MEL_SCALES)
def test_scales_are_inverse_and_rise(scale):
    hz = np.linspace(0, 20000, 2001)
    mel = hz_to_mel(hz, scale)
    assert (np.diff(mel) > 0).all()
    np.testing.assert_allclose(mel_to_hz(mel, scale), hz, atol=1e-8)


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
@pytest.mark.parametrize("scale", MEL_SCALES)
@pytest.mark.parametrize("in_mel", [False, True])
@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize(
    ("bins", "mels", "low", "rate"), [(201, 80, 0.0, 16000), (257, 128, 20.0, 16000), (33, 5, 7.0, 11025)]
)
def test_filters_are_those_of_transformers(scale, in_mel, area, bins, mels, low, rate):
    theirs = pytest.importorskip("transformers.audio_utils")
    high = float(rate // 2)
    made = mel_filters(bins, mels, low, high, rate, scale, in_mel, area)
    if area and in_mel:  # there the widths are mels, by a slip: no model has this pair
        return
    expected = theirs.mel_filter_bank(bins, mels, low, high, rate, "slaney" if area else None, scale, in_mel)
    np.testing.assert_allclose(made, expected, atol=1e-12)
    assert not made.flags.writeable


def test_windows_are_numpys():
    np.testing.assert_allclose(hann(400, "hann_symmetric"), np.hanning(400), atol=1e-15)
    np.testing.assert_allclose(hann(400), np.hanning(401)[:-1], atol=1e-15)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": 15, "window_length": 12}, "n_fft: expected an even number"),
        ({"n_fft": 1 << 20}, "n_fft: expected 2 to 16384"),
        ({"window_length": 17}, "window_length: expected 2 to 16, got 17"),
        ({"hop": 0}, "hop: expected 1"),
        ({"mels": 0}, "mels: expected 1"),
        ({"frames": 0}, "frames: expected 1"),
        ({"window": "povey"}, "window: expected one of hann, hann_symmetric, got 'povey'"),
        ({"mel_scale": "bark"}, "mel_scale"),
        ({"log": "dB"}, "log: expected one of"),
        ({"layout": "x"}, "layout"),
        ({"preemphasis": 1.5}, "preemphasis"),
        ({"min_hz": 4000.0}, "min_hz"),
        ({"log_floor": 0.0}, "log_floor"),
        ({"range": -1.0}, "range"),
        ({"std": 0.0}, "std"),
        ({"mean": float("nan")}, "mean"),
    ],
)
def test_settings_that_mean_nothing(changes, message):
    with pytest.raises(InputError, match=rf"log_mel\.{message}"):
        replace(PLAIN, **changes)


def test_a_spectrogram_beyond_the_limit(monkeypatch):
    monkeypatch.setattr("edgeformer_runtime.preprocess.log_mel.MAX_VALUES", 20)
    with pytest.raises(InputError, match="gives 6 frames of 4 mels: expected at most 20 values"):
        log_mel(np.zeros(37), RATE, PLAIN)
