"""Rows for the tiny model, and students that were hurt in one way or another."""

import random

import pytest
import torch

from edgeformer.data.encoding import encode
from edgeformer.loading.load import load_model
from edgeformer.rows.samples import Sample, Samples

WORDS = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"
GOOD = {"good", "great", "fine", "fun", "true", "best"}


def make_samples(count, seed, labelled=True):
    """Rows of random words; the label says whether good words outnumber the others of their kind."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        words = rng.choices(WORDS.split(), k=rng.randint(2, 14))
        label = int(sum(word in GOOD for word in words) > sum(word in {"bad", "dull", "slow", "sad"} for word in words))
        rows.append(Sample(" ".join(words), target=label if labelled else None))
    return Samples(f"rows-{seed}", tuple(rows), f"digest-{seed}")


@pytest.fixture(scope="session")
def teacher(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="session")
def student(teacher):
    """The teacher with noise on every matrix of its blocks."""
    module = teacher.copy_module()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if ".layer." in name and parameter.dim() == 2:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return teacher.with_module(module)


@pytest.fixture(scope="session")
def rows(teacher):
    return encode(teacher.signature, make_samples(64, 1), 16)


@pytest.fixture(scope="session")
def validation_rows(teacher):
    return encode(teacher.signature, make_samples(24, 2), 16)
