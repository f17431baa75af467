"""Tiny models of each family, and calibration rows for them."""

import numpy as np
import pytest
import torch

from edgeformer.data.encoded import EncodedSamples
from edgeformer.loading.load import load_model

FAMILIES = {
    "bert": {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48},
    "roberta": {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48},
    "electra": {
        "hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4,
        "intermediate_size": 48,
    },
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
    "mpnet": {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48},
}  # fmt: skip


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """family(name) -> Model, made once each."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    made = {}

    def make(name):
        if name not in made:
            directory = tmp_path_factory.mktemp("families") / name
            torch.manual_seed(7)
            config = AutoConfig.for_model(
                name, **FAMILIES[name], vocab_size=80, max_position_embeddings=66, initializer_range=0.3, num_labels=3
            )
            module = AutoModelForSequenceClassification.from_config(config)
            for path, parameter in module.named_parameters():
                if path.endswith("bias"):  # transformers starts at zero, which would hide a forgotten bias
                    torch.nn.init.normal_(parameter, std=0.3)
            module.save_pretrained(directory)
            made[name] = load_model(directory)
        return made[name]

    return make


def rows_for(model, count=24, seed=0, labels=None):
    """Random rows of different lengths; padding occurs in every batch."""
    rng = np.random.default_rng(seed)
    feeds = []
    for _ in range(count):
        ids = rng.integers(5, 80, (1, int(rng.integers(3, 20))))
        feeds.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    targets = None if labels is None else tuple(int(value) for value in rng.integers(0, labels, count))
    return EncodedSamples(tuple(feeds), targets, "random")


@pytest.fixture
def rows():
    """rows(model, count, seed, labels) -> EncodedSamples."""
    return rows_for
