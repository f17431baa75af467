from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.preprocess.audio import AudioEncoder, AudioPreprocess, audio_from_dict, audio_to_dict
from edgeformer_runtime.preprocess.log_mel import LogMel, log_mel
from edgeformer_runtime.preprocess.resample import resample

sys.path.insert(0, str(Path(__file__).parent))
import contextlib

from wav_files import wav

RATE = 16000
RAW = AudioPreprocess(RATE)
NORMAL = AudioPreprocess(RATE, normalize=True)
MASKED = replace(NORMAL, mask="attention_mask")
MELS = LogMel(n_fft=512, hop=160, mels=16, window_length=400)
FRAMES = AudioPreprocess(RATE, log_mel=replace(MELS, frames=20, mean=-4.0, std=9.0))
PADDED = AudioPreprocess(
    RATE, "input_features", max_samples=4800, pad_to_max=True, log_mel=replace(MELS, reflect=True, layout="mels_frames")
)
ALL = [RAW, NORMAL, MASKED, FRAMES, PADDED, replace(MASKED, min_samples=400, max_samples=9000, padding_value=-1.0)]


def noise(count, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count).astype(np.float32)


def mean_and_variance_one(x):
    x = np.asarray(x, dtype=np.float64)
    return (x - sum(x) / len(x)) / (sum((x - sum(x) / len(x)) ** 2) / len(x) + 1e-7) ** 0.5


@pytest.mark.parametrize("preprocess", ALL)
def test_json_and_back(preprocess):
    data = json.loads(json.dumps(audio_to_dict(preprocess), allow_nan=False))
    assert data["kind"] == "audio"
    assert audio_from_dict(data) == preprocess


WRONG = [
    (None, "expected an object of kind 'audio', got 'NoneType'"),
    ({"kind": "image"}, "of kind 'audio', got 'image'"),
    ({"kind": "audio"}, "rate_hz: is missing"),
    ({"kind": "audio", "rate_hz": 16000.5}, "rate_hz: expected int"),
    ({"kind": "audio", "rate_hz": 1}, "a rate of 1 Hz: expected 1000 to 192000"),
    ({"kind": "audio", "rate_hz": RATE, "colour": 1}, "unknown key 'colour'"),
    ({"kind": "audio", "rate_hz": RATE, "mask": "input_values"}, "mask: expected a name that input isn't"),
    ({"kind": "audio", "rate_hz": RATE, "max_samples": 1 << 40}, "max_samples: expected 1 to 67108864"),
    ({"kind": "audio", "rate_hz": RATE, "max_samples": 5, "min_samples": 6}, "min_samples: expected 1 to 5, got 6"),
    ({"kind": "audio", "rate_hz": RATE, "pad_to_max": True}, "pad_to_max: expected false where max_samples is null"),
    ({"kind": "audio", "rate_hz": RATE, "log_mel": {"n_fft": 512}}, r"log_mel\.hop: is missing"),
    ({"kind": "audio", "rate_hz": RATE, "log_mel": {"n_fft": 512, "hop": 1, "mels": -1}}, "log_mel.mels: expected 1"),
    ({"kind": "audio", "rate_hz": 8000, "log_mel": {"n_fft": 512, "hop": 1, "mels": 4}}, "at most half of rate_hz"),
    (
        {"kind": "audio", "rate_hz": RATE, "normalize": True, "log_mel": {"n_fft": 512, "hop": 1, "mels": 4}},
        "expected normalize or mask, which are a waveform's, or log_mel, got both",
    ),
    (
        {"kind": "audio", "rate_hz": RATE, "max_samples": 500, "log_mel": {"n_fft": 512, "hop": 1, "mels": 4}},
        "max_samples: expected at least one frame, 512, got 500",
    ),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_manifests_that_are_wrong(value, message):
    with pytest.raises(RuntimeBundleError, match=rf"manifest\.json: preprocess.*{message}"):
        audio_from_dict(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL), st.data(), json_values)
def test_any_value_in_any_place_of_a_manifest(preprocess, data, value):
    changed = json.loads(json.dumps(audio_to_dict(preprocess)))
    place = changed
    if changed["log_mel"] is not None and data.draw(st.booleans()):
        place = changed["log_mel"]
    place[data.draw(st.sampled_from(sorted(place)))] = value
    with contextlib.suppress(RuntimeBundleError):
        assert isinstance(audio_from_dict(changed), AudioPreprocess)


lengths = st.lists(st.integers(1, 900), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(lengths, st.booleans(), st.sampled_from([0.0, -1.5]))
def test_waveforms_with_and_without_a_mask(counts, masked, padding):
    rows = [noise(count, seed) for seed, count in enumerate(counts)]
    preprocess = replace(MASKED if masked else NORMAL, padding_value=padding)
    feeds = AudioEncoder(preprocess).encode(rows).feeds
    values = feeds["input_values"]
    assert (values.shape, values.dtype) == ((len(rows), max(counts)), np.float32)
    for index, row in enumerate(rows):
        filler = np.full(max(counts) - len(row), padding)
        alone = np.concatenate([mean_and_variance_one(row), filler])
        whole = mean_and_variance_one(np.concatenate([row, filler]))
        np.testing.assert_allclose(values[index], alone if masked else whole, atol=1e-5)
    assert set(feeds) == ({"input_values", "attention_mask"} if masked else {"input_values"})
    if masked:
        assert feeds["attention_mask"].dtype == np.int64
        assert feeds["attention_mask"].sum(axis=1).tolist() == counts


def test_paths_bytes_arrays_and_pairs_are_the_same_sound(tmp_path):
    integers = np.random.default_rng(0).integers(-9000, 9000, 700)
    floats = (integers / 32768).astype(np.float32)
    path = tmp_path / "a.wav"
    path.write_bytes(wav(integers))
    encoder = AudioEncoder(MASKED)
    same = encoder([path, str(path), path.read_bytes(), floats, floats.astype(np.float64), (floats, RATE)])
    assert np.ptp(same["input_values"], axis=0).max() == 0


def test_another_rate_is_resampled_and_said(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.random.default_rng(0).integers(-9000, 9000, (4410, 2)), rate=44100))
    encoded = AudioEncoder(RAW).encode([path, (noise(80), 8000)])
    assert encoded.notes == (
        f"{path}: 2 channels were averaged into one",
        f"{path}: was resampled from 44100 Hz to 16000 Hz",
        "sound 1: was resampled from 8000 Hz to 16000 Hz",
    )
    assert encoded.samples == (1600, 160)
    np.testing.assert_allclose(encoded.feeds["input_values"][1, :160], resample(noise(80), 8000, RATE), atol=1e-7)
    with pytest.warns(UserWarning, match="sound 0: was resampled from 8000 Hz to 16000 Hz"):
        AudioEncoder(RAW)([(noise(80), 8000)])


def test_long_sounds_are_cut_and_said():
    encoder = AudioEncoder(replace(RAW, max_samples=800))
    encoded = encoder.encode([noise(1600), noise(800), (noise(1600), 32000), (noise(1700), 32000)])
    assert encoded.truncated == (True, False, False, True)
    assert encoded.notes[0] == "sound 0: was cut from 0.10 s to 0.05 s"
    values = encoded.feeds["input_values"]
    np.testing.assert_array_equal(values[0], noise(1600)[:800])
    np.testing.assert_allclose(values[3], resample(noise(1700), 32000, RATE)[:800], atol=1e-7)


def test_a_length_may_be_given():
    encoder = AudioEncoder(MASKED)
    encoded = encoder.encode([noise(300), noise(900)], pad_to=500)
    assert encoded.feeds["input_values"].shape == (2, 500)
    assert (encoded.samples, encoded.truncated) == ((300, 500), (False, True))
    with pytest.raises(InputError, match="pad_to: expected 400 to 67108864 samples, got 399"):
        AudioEncoder(replace(RAW, min_samples=400)).encode([noise(500)], pad_to=399)


def test_silence_is_said():
    encoded = AudioEncoder(NORMAL).encode([np.zeros(500), np.full(500, 0.25)])
    assert not encoded.feeds["input_values"].any()
    assert encoded.notes == (
        "sound 0: is silence: all its samples are 0",
        "sound 1: is silence: all its samples are 0.25",
    )
    for preprocess in (FRAMES, PADDED):
        assert np.isfinite(AudioEncoder(preprocess).encode([np.zeros(500)]).feeds[preprocess.input]).all()


def test_spectrograms():
    rows = [noise(4000), noise(400, seed=1), noise(640, seed=2)]
    frames = AudioEncoder(FRAMES).encode(rows)
    assert frames.feeds["input_values"].shape == (3, 20, 16)
    assert (frames.truncated, frames.samples) == ((True, False, False), (3440, 400, 640))
    for index, row in enumerate(rows):  # each alone: the others of the batch change nothing
        np.testing.assert_array_equal(
            frames.feeds["input_values"][index], log_mel(row, RATE, FRAMES.log_mel).astype(np.float32)
        )
    padded = AudioEncoder(PADDED).encode([noise(5000), noise(1)]).feeds["input_features"]
    assert (padded.shape, padded.dtype) == ((2, 16, 31), np.float32)
    filled = np.concatenate([noise(1), np.zeros(4799)])
    np.testing.assert_allclose(padded[1], log_mel(filled, RATE, PADDED.log_mel), atol=1e-5)


REFUSED = [
    (noise(5), "sounds: expected a list of at least one"),
    ([], "sounds: expected a list of at least one, got list"),
    ("a.wav", "sounds: expected a list"),
    ([noise(399)], "sound 0: has 399 samples at 16000 Hz: the model takes at least 400"),
    ([noise(500), np.zeros(0)], "sound 1: is empty"),
    ([np.arange(500)], "sound 0: expected floats of about ±1, got int64: divide 16-bit samples by 32768"),
    ([np.arange(5000.0)], "sound 0: samples reach 4999"),
    ([np.zeros((2, 500))], r"sound 0: expected an array \[samples\], got the shape \[2, 500\]"),
    ([np.array([0.0, np.nan])], "sound 0: 1 of 2 samples are NaN or infinite, the first is number 1"),
    ([np.array(0.5)], "got the shape"),
    ([(noise(500), 0)], "sound 0: a rate of 0 Hz"),
    ([(noise(500), 16000.0)], "sound 0: expected a path"),
    ([None], "sound 0: expected a path, the bytes of a WAV file, an array or .array, rate., got NoneType None"),
    ([b"RIFF"], "sound 0: expected a WAV file"),
    (["no/such.wav"], "no/such.wav: expected a WAV file, got nothing there"),
]


@pytest.mark.parametrize(("sounds", "message"), REFUSED)
def test_refused(sounds, message):
    with pytest.raises(InputError, match=message):
        AudioEncoder(replace(MASKED, min_samples=400)).encode(sounds)


def test_a_sound_that_grows_beyond_the_limit(monkeypatch):
    monkeypatch.setattr("edgeformer_runtime.preprocess.audio.MAX_SAMPLES", 1000)
    with pytest.raises(InputError, match="has 1600 samples at 16000 Hz: expected at most 1000"):
        AudioEncoder(RAW).encode([(noise(100), 1000)])
