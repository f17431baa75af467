"""Sounds from WAV files to labels: an AST classifier, compiled, opened and asked."""

import wave

import numpy as np
import pytest
import torch
import transformers

import edgeformer as ef
from edgeformer.data.encoding import encode
from edgeformer.errors import ModelError
from edgeformer.loading.load import load_model
from edgeformer.recipe import Recipe
from edgeformer.rows.samples import read_samples
from edgeformer_runtime import Session
from edgeformer_runtime.cli import main as device

RATE = 16000
SAID: list[str] = []
TONES = {"low": 300.0, "high": 2500.0}
RECIPE = '[[steps]]\npass = "quantize"\nfeed_forward = "int8"\n[gate]\nmin_cosine_integer_activations = 0.9\n'


def tone(path, hz, seed, rate=RATE):
    rng = np.random.default_rng(seed)
    time = np.arange(int(rate * 0.3)) / rate
    samples = 0.4 * np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * time) + rng.normal(0, 0.03, len(time))
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("sounds")
    for name, count, seed in (("calibration", 16, 0), ("evaluation", 12, 1000)):
        for number, (label, hz) in enumerate(TONES.items()):
            for index in range(count):
                rate = 44100 if index == 0 else RATE
                tone(root / name / label / f"{index}.wav", hz, seed + 100 * number + index, rate)
    labels = dict(enumerate(TONES))
    config = transformers.ASTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, frequency_stride=10,
        time_stride=10, max_length=32, num_mel_bins=32, id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.ASTForAudioClassification(config).save_pretrained(root / "model")
    transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=32).save_pretrained(root / "model")
    model = load_model(root / "model")
    rows = encode(model.signature, read_samples(root / "calibration", model.task, evaluation=True), 1)
    inputs = torch.from_numpy(np.concatenate([row["input_values"] for row in rows.feeds]))
    module = transformers.ASTForAudioClassification.from_pretrained(root / "model")
    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    for _ in range(40):
        loss = module(input_values=inputs, labels=torch.tensor(rows.targets)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.save_pretrained(root / "model")
    return root


@pytest.fixture(scope="module")
def bundle(files):
    ef.compile(
        files / "model", output=files / "bundle", recipe=Recipe.from_toml(RECIPE), formats=("onnx", "tflite"),
        calibration=files / "calibration", evaluation=files / "evaluation", max_drop=0.2, progress=SAID.append,
    )  # fmt: skip
    return files / "bundle"


def test_a_compile_says_what_was_done_to_sounds(bundle):
    (line,) = [line for line in SAID if line.startswith("evaluation rows: ") and "resampled" in line]
    assert "0.wav: was resampled from 44100 Hz to 16000 Hz (and 1 more)" in line


def test_the_input_is_that_of_transformers(files):
    model = load_model(files / "model")
    assert (model.task.name, model.inputs[0].shape) == ("audio-classification", ("batch", 32, 32))
    samples = read_samples(files / "evaluation", model.task, evaluation=True)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(files / "model")
    for row, feeds in list(zip(samples.rows, encode(model.signature, samples, 1).feeds, strict=True))[1:5]:
        with wave.open(str(row.file)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
        wanted = extractor(sound.astype(np.float32), sampling_rate=RATE, return_tensors="np")["input_values"]
        np.testing.assert_allclose(feeds["input_values"], wanted, atol=2e-3)


@pytest.mark.parametrize("variant", ["onnx", "tflite"])
def test_the_device_tells_tones(bundle, files, variant):
    wanted = [(label, file) for label in TONES for file in sorted((files / "evaluation" / label).iterdir())]
    with Session.open(bundle, variant=variant) as session, pytest.warns(UserWarning, match="resampled from 44100 Hz"):
        found = [result.label for result in session.predict([file for _, file in wanted])]
    assert np.mean([a == b for a, (b, _) in zip(found, wanted, strict=True)]) > 0.8


def test_the_command_line_reads_sounds(bundle, files, capsys):
    assert device(["predict", str(bundle), "--audio", str(files / "evaluation" / "high" / "1.wav")]) == 0
    assert capsys.readouterr().out.startswith("high")
    assert device(["predict", str(bundle), "--image", "cat.jpg"]) == 2
    assert "takes sounds, not pictures" in capsys.readouterr().err


def test_another_rate_is_resampled_and_said(bundle, tmp_path):
    path = tone(tmp_path / "high.wav", TONES["high"], 7, rate=44100)
    with Session.open(bundle) as session, pytest.warns(UserWarning, match="resampled from 44100 Hz to 16000 Hz"):
        assert session.predict([path])[0].label == "high"


def test_waveforms_are_refused_with_the_reason(tmp_path):
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_kernel=(10, 3), conv_stride=(5, 2), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="reads waveforms or spectrograms of any length, which aren't compiled"):
        load_model(tmp_path)
