"""Configs of transformers' feature extractors, and the device's numbers by them beside transformers' own."""

import json

import numpy as np
import pytest
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from edgeformer.errors import ModelError
from edgeformer.model.audio_files import read_audio_preprocess, shortest_waveform
from edgeformer_runtime.preprocess.audio import AudioEncoder, audio_from_dict, audio_to_dict

pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
RATE = 16000


def sounds(count, seed, shortest=400, longest=60000):
    """Noise, tones in noise, tones that glide, with holes of silence and offsets, of odd lengths."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        t = np.arange(int(rng.integers(shortest, longest)) | 1) / RATE
        tone = np.sin(2 * np.pi * (rng.uniform(20, 7900) + (index % 2) * 500 * t) * t) * rng.uniform(0, 0.5)
        sound = tone + rng.standard_normal(len(t)) * 10 ** rng.uniform(-3, -1) + rng.uniform(-0.1, 0.1)
        if index % 5 == 0:
            sound[len(t) // 3 : len(t) // 2] = 0
        yield sound.astype(np.float32)


def saved(extractor, directory):
    """What is read from its file, after a journey through a manifest."""
    extractor.save_pretrained(directory)
    return audio_from_dict(json.loads(json.dumps(audio_to_dict(read_audio_preprocess(directory)))))


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("padding", [0.0, 0.5])
def test_waveforms_are_those_of_transformers(mask, normalize, padding, tmp_path):
    theirs = Wav2Vec2FeatureExtractor(return_attention_mask=mask, do_normalize=normalize, padding_value=padding)
    ours = AudioEncoder(saved(theirs, tmp_path))
    rows = list(sounds(40, seed=mask + 2 * normalize, shortest=1, longest=20000))
    for start, size in ((0, 1), (1, 2), (3, 7), (10, 30)):
        batch = rows[start : start + size]
        expected = theirs(batch, sampling_rate=RATE, padding=True, return_tensors="np")
        feeds = ours(batch)
        assert set(feeds) == set(expected)
        for name, values in feeds.items():
            np.testing.assert_allclose(values, expected[name], atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    "changes", [{}, {"num_mel_bins": 40, "max_length": 100, "mean": -3.0, "std": 2.5}, {"do_normalize": False}]
)
def test_ast_spectrograms_are_those_of_transformers(changes, tmp_path):
    theirs = ASTFeatureExtractor(**changes)
    ours = AudioEncoder(saved(theirs, tmp_path))
    for batch in (
        list(sounds(60, seed=1)),
        list(sounds(60, seed=2, longest=2000)),
        list(sounds(2, seed=3, longest=200_000)),
    ):
        expected = theirs(batch, sampling_rate=RATE, return_tensors="np")["input_values"]
        np.testing.assert_allclose(ours.encode(batch).feeds["input_values"], expected, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("changes", [{}, {"feature_size": 128, "chunk_length": 5}, {"n_fft": 512, "hop_length": 100}])
def test_whisper_spectrograms_are_those_of_transformers(changes, tmp_path):
    settings = {"chunk_length": 4, **changes}
    theirs = WhisperFeatureExtractor(**settings)
    ours = AudioEncoder(saved(theirs, tmp_path))
    rows = list(sounds(40, seed=4, shortest=1, longest=90_000))
    made = ours.encode(rows).feeds["input_features"]
    expected = theirs(rows, sampling_rate=RATE, return_tensors="np")["input_features"]
    # theirs is a spectrum by float32, which is off where a loud tone leaves little in a bin: the exact one is below
    assert (np.abs(made - expected) > 1e-4).mean() < 1e-5
    np.testing.assert_allclose(made, expected, atol=5e-4)
    for row, values in zip(rows[:10], made, strict=False):
        padded = theirs.pad({"input_features": [row[:, None]]}, "max_length", theirs.n_samples, truncation=True)
        exact = theirs._np_extract_fbank_features([padded["input_features"][0][:, 0]], "cpu")
        np.testing.assert_allclose(values, exact[0], atol=2e-6)


def written(directory, **values):
    (directory / "preprocessor_config.json").write_text(json.dumps(values))
    return directory


W, A, H = "Wav2Vec2FeatureExtractor", "ASTFeatureExtractor", "WhisperFeatureExtractor"
REFUSED = [
    ({"feature_extractor_type": "ClapFeatureExtractor"}, "expected one of Wav2Vec2.*got 'ClapFeatureExtractor'"),
    ({"sampling_rate": RATE}, "got 'None'"),
    ({"feature_extractor_type": W, "do_trim": True}, "unknown key 'do_trim': what it does"),
    ({"feature_extractor_type": W, "feature_size": 2}, "feature_size: expected 1, got 2"),
    ({"feature_extractor_type": W, "padding_side": "left"}, "padding_side: expected 'right', got 'left'"),
    ({"feature_extractor_type": W, "sampling_rate": "16k"}, "sampling_rate: expected int, got '16k'"),
    ({"feature_extractor_type": W, "sampling_rate": 10}, "a rate of 10 Hz: expected 1000"),
    ({"feature_extractor_type": W, "do_normalize": 1}, "do_normalize: expected bool, got '1'"),
    ({"feature_extractor_type": A, "sampling_rate": 8000}, "sampling_rate: expected 16000, got 8000: at others"),
    ({"feature_extractor_type": A, "std": 0.0}, "log_mel.std: expected a positive number"),
    ({"feature_extractor_type": A, "num_mel_bins": 10**9}, "log_mel.mels: expected 1 to 1024"),
    ({"feature_extractor_type": A, "frame_shift": 5}, "unknown key 'frame_shift'"),
    ({"feature_extractor_type": H, "dither": 0.1}, "dither: expected 0.0, got 0.1: random noise"),
    ({"feature_extractor_type": H, "return_attention_mask": True}, "return_attention_mask: expected False"),
    ({"feature_extractor_type": H, "sampling_rate": 8000}, "max_hz: expected at most half of rate_hz"),
    ({"feature_extractor_type": H, "chunk_length": 0}, "max_samples: expected 1"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_refused(values, message, tmp_path):
    with pytest.raises(ModelError, match=rf"preprocessor_config\.json: .*{message}"):
        read_audio_preprocess(written(tmp_path, **values))


def test_old_files_name_no_extractor(tmp_path):
    directory = written(tmp_path, sampling_rate=8000, return_attention_mask=True)
    preprocess = read_audio_preprocess(directory, "hubert", min_samples=400, max_samples=80000)
    assert (preprocess.rate_hz, preprocess.mask) == (8000, "attention_mask")
    assert (preprocess.min_samples, preprocess.max_samples) == (400, 80000)


def test_files_of_earlier_releases_hold_what_is_made_again(tmp_path):
    filters = {"mel_filters": [[0.0]], "processor_class": "WhisperProcessor", "do_normalize": True}
    assert read_audio_preprocess(written(tmp_path, feature_extractor_type=H, **filters)).log_mel.mels == 80


def test_an_extractor_inside_of_a_processor(tmp_path):
    processor = tmp_path / "processor_config.json"
    processor.write_text(json.dumps({"feature_extractor": {"feature_extractor_type": W, "sampling_rate": 8000}}))
    assert read_audio_preprocess(tmp_path).rate_hz == 8000
    processor.write_text("{}")
    with pytest.raises(ModelError, match=r"not found, and processor_config\.json beside it has no feature_extractor"):
        read_audio_preprocess(tmp_path)
    processor.unlink()
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: not found"):
        read_audio_preprocess(tmp_path)


def test_the_shortest_waveform_of_a_stack_of_convolutions():
    import torch

    assert shortest_waveform((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)) == 400
    for kernels, strides in (((10, 3, 2), (5, 2, 2)), ((4, 7), (3, 1))):
        samples = shortest_waveform(kernels, strides)
        convolutions = [torch.nn.Conv1d(1, 1, k, s) for k, s in zip(kernels, strides, strict=True)]
        assert torch.nn.Sequential(*convolutions)(torch.zeros(1, 1, samples)).shape[-1] == 1
        with pytest.raises(RuntimeError):
            torch.nn.Sequential(*convolutions)(torch.zeros(1, 1, samples - 1))
