import json

import pytest
import torch
from safetensors.torch import save_file

from edgeformer.errors import ModelError
from edgeformer.sentences.files import encoder_directory, read_sentence_files
from edgeformer.sentences.load import load_layers
from edgeformer.tasks.pooling import pool, pooling_modes

ENCODER = {"type": "sentence_transformers.models.Transformer", "path": ""}
POOLING = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
DENSE = {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}
CONFIG = {"in_features": 4, "out_features": 3, "activation_function": "torch.nn.modules.activation.ReLU"}


@pytest.fixture
def directory(tmp_path):
    """A Transformer of width 4, its mean, and a Dense to 3."""
    write(tmp_path / "modules.json", [ENCODER, POOLING, DENSE])
    write(tmp_path / "1_Pooling" / "config.json", {"pooling_mode": "mean"})
    write(tmp_path / "2_Dense" / "config.json", CONFIG)
    weights = {"linear.weight": torch.ones(3, 4), "linear.bias": torch.tensor([0.0, 1.0, -9.0])}
    save_file(weights, tmp_path / "2_Dense" / "model.safetensors")
    return tmp_path


def write(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def loaded(directory, width=4, **options):
    return load_layers(read_sentence_files(directory).layers, width, **{"allow_pickle": False, **options})


def test_a_dense_layer_and_its_width(directory):
    layers, width = loaded(directory)
    assert width == 3
    assert layers(torch.ones(1, 4)).tolist() == [[4, 5, 0]]


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({}, "expected a list of modules, got dict"),
        ([], "expected a list of modules"),
        ([{"type": 3}], "module 0: expected an object with a type and a path"),
        ([{**ENCODER, "path": "../other"}], "'../other' leads out of the directory"),
        ([{**ENCODER, "path": "/etc"}], "'/etc' leads out of the directory"),
        ([POOLING], "modules Pooling: expected one Transformer, then one Pooling"),
        ([ENCODER, DENSE], "modules Transformer, Dense: expected one Transformer, then one Pooling"),
        ([ENCODER, POOLING, POOLING], "2 modules Pooling: expected one"),
    ],
)
def test_modules_that_make_no_sentence_model(directory, modules, said):
    write(directory / "modules.json", modules)
    with pytest.raises(ModelError, match=said):
        read_sentence_files(directory)


def test_a_damaged_modules_json_is_named(directory):
    (directory / "modules.json").write_text("[{")
    with pytest.raises(ModelError, match=r"modules.json: not valid JSON"):
        encoder_directory(directory)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"in_features": 5}, "in_features 5: what comes before it makes vectors of 4 numbers"),
        ({"out_features": "3"}, "out_features '3': expected a number"),
        ({"out_features": 2}, r"tensor 'linear.weight': config.json makes its shape \[2, 4\], .* has \[3, 4\]"),
        ({"bias": False}, r"tensor 'linear.bias': config.json makes its shape none of that name"),
        ({"use_residual": True}, r"tensor 'residual.weight': .* the weights' file has none of that name"),
        ({"activation_function": "os.system"}, "activation function 'os.system': expected a class of torch.nn"),
        ({"activation_function": "torch.nn.Threshold"}, "'torch.nn.Threshold' can't be made without arguments"),
        ({"module_input_name": "token_embeddings"}, "module_input_name 'token_embeddings': Dense is compiled on"),
    ],
)
def test_a_dense_layer_that_does_not_fit(directory, config, said):
    write(directory / "2_Dense" / "config.json", {**CONFIG, **config})
    with pytest.raises(ModelError, match=said):
        loaded(directory)


def test_weights_that_are_missing_damaged_or_a_pickle(directory):
    weights = directory / "2_Dense" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(ModelError, match="damaged or truncated"):
        loaded(directory)
    weights.unlink()
    with pytest.raises(ModelError, match=r"2_Dense: no model.safetensors"):
        loaded(directory)
    tensors = {"linear.weight": torch.ones(3, 4).half(), "linear.bias": torch.zeros(3).half()}
    torch.save(tensors, directory / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="--allow-pickle"):
        loaded(directory)
    layers, _ = loaded(directory, allow_pickle=True)
    assert layers(torch.ones(1, 4)).tolist() == [[4, 4, 4]]


def test_poolings_by_hand():
    hidden = torch.tensor([[[1.0, -2.0], [3.0, -4.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1, 0]])
    expected = {
        "cls": [1, -2], "max": [3, -2], "mean": [2, -3], "mean_sqrt_len_tokens": [4 / 2**0.5, -6 / 2**0.5],
        "weightedmean": [7 / 3, -10 / 3], "lasttoken": [3, -4],
    }  # fmt: skip
    for mode, vector in expected.items():
        assert pool(hidden, mask, [mode])[0].tolist() == pytest.approx(vector)
    assert pool(hidden, mask, pooling_modes("lasttoken+cls", "here"))[0].tolist() == [3, -4, 1, -2]


def test_a_pooling_of_another_name_is_refused():
    with pytest.raises(ModelError, match="here: pooling 'median': expected some of cls, max"):
        pooling_modes(["mean", "median"], "here")
