"""A model whose weights are no numbers is refused when it is loaded, by the name of the weight."""

import pytest
import torch

from edgeformer.errors import ModelError
from edgeformer.loading.load import load_model


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["bert.encoder.layer.1.output.dense.weight", "bert.embeddings.word_embeddings.weight"])
def test_the_weight_is_named(tiny_model, tmp_path, name, number):
    import shutil

    from safetensors.torch import load_file, save_file

    copy = tmp_path / "damaged"
    shutil.copytree(tiny_model, copy)
    weights = load_file(copy / "model.safetensors")
    weights[name][3, 5] = number
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"{name} holds NaN or infinity in 1 of \d+ places, the first at \[3, 5\]"):
        load_model(copy)


def test_sound_weights_pass(tiny_model):
    assert all(torch.isfinite(p).all() for p in load_model(tiny_model).module.parameters())
