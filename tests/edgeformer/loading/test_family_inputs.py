"""Families whose results on texts alone would mean nothing; and how long a text they take."""

import pytest
import transformers

import edgeformer as ef
from edgeformer.errors import ModelError
from edgeformer.loading.family_inputs import check_inputs

SMALL = {
    "vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 128,
}  # fmt: skip


def test_yoso_is_exact_with_expectation_alone():
    exact = transformers.YosoForSequenceClassification(transformers.YosoConfig(**SMALL))
    check_inputs(exact, "m", "yoso")
    hashed = transformers.YosoForSequenceClassification(transformers.YosoConfig(**SMALL, use_expectation=False))
    with pytest.raises(ModelError, match="use_expectation = false"):
        check_inputs(hashed, "m", "yoso")


def test_markup_is_asked_for_by_its_input():
    config = transformers.MarkupLMConfig(**SMALL, max_xpath_tag_unit_embeddings=20, max_xpath_subs_unit_embeddings=20)
    with pytest.raises(ModelError, match="markup"):
        check_inputs(transformers.MarkupLMModel(config), "m", "markuplm")


def test_big_bird_ends_where_it_would_begin_to_attend_at_random(tmp_path):
    config = transformers.BigBirdConfig(**SMALL, block_size=4, num_random_blocks=1)
    transformers.BigBirdForSequenceClassification(config).save_pretrained(tmp_path)
    assert ef.load_model(tmp_path).max_length == (5 + 2) * 4


def test_positions_that_count_from_the_padding_id(tmp_path):
    config = transformers.IBertConfig(**SMALL, pad_token_id=1)
    transformers.IBertForSequenceClassification(config).save_pretrained(tmp_path)
    assert ef.load_model(tmp_path).max_length == 126
