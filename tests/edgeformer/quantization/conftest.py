"""The tiny model with calibration rows, as passes meet them."""

import json
import random

import pytest


@pytest.fixture(scope="package")
def model(tiny_model):
    from edgeformer.loading.load import load_model

    return load_model(tiny_model)


@pytest.fixture(scope="package")
def make_context(model, tmp_path_factory):
    """A function from a number of rows to a PassContext with (four fifths of) them for calibration."""
    from edgeformer.data.splits import read_data
    from edgeformer.passes.base import PassContext
    from edgeformer.recipe import Recipe

    words = ("the", "a", "good", "bad", "film", "book", "was", "very", "not", "and", "plot", "actor", "great", "dull")

    def make(count, **others):
        generator = random.Random(11)
        path = tmp_path_factory.mktemp("rows") / "calibration.jsonl"
        rows = [{"text": " ".join(generator.choices(words, k=generator.randint(4, 20)))} for _ in range(count)]
        path.write_text("\n".join(map(json.dumps, rows)))
        return PassContext(data=read_data(model, Recipe.preset("balanced"), path, None), **others)

    return make


@pytest.fixture(scope="package")
def context(make_context):
    return make_context(120)
