"""From samples to arrays, as the device makes them from the same texts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import edgeformer as ef
from edgeformer.data.encoding import device_preprocess, encode, text_preprocess
from edgeformer.errors import ModelError
from edgeformer.rows.samples import Sample, Samples
from edgeformer_runtime.preprocess.text import TextEncoder

TEXTS = ("the film was good", "a very dull and slow book the plot was not good", "best actor")


@pytest.fixture(scope="module")
def signature(tiny_model):
    return ef.load_model(tiny_model).signature


def samples(*targets):
    rows = zip(TEXTS, targets or (None,) * len(TEXTS), strict=True)
    return Samples("rows.csv", tuple(Sample(text, target=target) for text, target in rows), sha256="")


def test_each_row_is_what_the_device_feeds_for_its_text(signature):
    found = encode(signature, samples(), 8)
    encoder = TextEncoder(signature.text.tokenizer.encode(), text_preprocess(signature, 8), signature.inputs)
    for row, text in zip(found.feeds, TEXTS, strict=True):
        expected = encoder.encode(text).feeds
        assert row.keys() == expected.keys() == {spec.name for spec in signature.inputs}
        for name, array in row.items():
            np.testing.assert_array_equal(array, expected[name])


def test_a_row_is_as_long_as_its_text_and_cut_at_the_longest_that_is_asked_for(signature):
    found = encode(signature, samples(), 8)
    assert [row["input_ids"].shape for row in found.feeds] == [(1, 6), (1, 8), (1, 4)]
    assert found.truncated == 1


def test_no_more_tokens_than_the_model_states(signature):
    short = signature.with_text(replace(signature.text, max_length=12))
    assert text_preprocess(short, 1000).max_length == 12
    assert text_preprocess(short, 8).max_length == 8
    assert text_preprocess(signature, 1000).max_length == 1000


def test_targets_count_only_where_every_row_has_one(signature):
    assert encode(signature, samples(0, 1, 0), 8).targets == (0, 1, 0)
    assert encode(signature, samples(0, None, 0), 8).targets is None


def test_texts_for_a_model_of_arrays_are_refused():
    model = ef.from_module(torch.nn.Linear(4, 2), {"x": torch.randn(2, 4)})
    assert device_preprocess(model.signature, 8) == ()
    with pytest.raises(ModelError, match=r"rows\.csv: the model has no tokenizer"):
        encode(model.signature, samples(), 8)
