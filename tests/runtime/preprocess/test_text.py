from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.errors import InputError, RuntimeBundleError
from edgeformer_runtime.preprocess.text import (
    TextEncoder,
    TextPreprocess,
    check_texts,
    text_from_dict,
    text_to_dict,
)

pytest.importorskip("tokenizers")
TOKENIZER = Path(__file__).parent.parent / "data" / "tokenizer.json"


def specs(*names):
    roles = {"input_ids": "tokens", "attention_mask": "mask", "token_type_ids": "token_types"}
    return tuple(TensorSpec(name, "int64", ("batch", "sequence"), role=roles.get(name)) for name in names)


def encoder(*names, max_length=8, truncation="right", cut="longest"):
    preprocess = TextPreprocess("tokenizer.json", max_length, 0, truncation=truncation, cut=cut)
    return TextEncoder(TOKENIZER, preprocess, specs(*(names or ("input_ids",))))


def test_only_the_inputs_asked_for():
    encoded = encoder("input_ids", "token_type_ids").encode("good", "bad")
    assert {name: array.tolist() for name, array in encoded.feeds.items()} == {
        "input_ids": [[2, 4, 3, 5, 3]],
        "token_type_ids": [[0, 0, 0, 1, 1]],
    }
    assert all(array.dtype == np.int64 for array in encoded.feeds.values())
    assert encoded.texts == (None, 0, None, 1, None)
    with pytest.raises(RuntimeBundleError, match="pixel_values"):
        encoder("input_ids", "pixel_values")


def test_truncation_is_said():
    exact, cut = encoder().encode("good " * 6), encoder().encode("good " * 7)
    assert (exact.tokens, exact.truncated) == (8, False)
    assert (cut.tokens, cut.truncated) == (8, True)


def test_the_side_that_is_cut():
    text = "bad " * 6 + "good " * 6
    right, left = (encoder(truncation=side).encode(text) for side in ("right", "left"))
    assert right.feeds["input_ids"].tolist() == [[2, 5, 5, 5, 5, 5, 5, 3]]
    assert left.feeds["input_ids"].tolist() == [[2, 4, 4, 4, 4, 4, 4, 3]]
    assert left.offsets[1] == (24, 28)
    assert right.tokens_cut == left.tokens_cut == 6


def test_a_question_is_never_cut():
    asking = encoder(cut="second")
    encoded = asking.encode("good good good", "bad " * 20)
    assert encoded.texts.count(0) == 3
    assert encoded.truncated
    with pytest.raises(InputError, match="8 tokens"):
        asking.encode("good " * 20, "bad")


@pytest.mark.parametrize(("texts", "special"), [(("good bad",), 2), (("good bad", "bad"), 3), (("good", "bad bad"), 3)])
def test_no_row_is_longer_than_the_model_reads(texts, special):
    assert encoder(max_length=special).encode(*texts).tokens == special
    with pytest.raises(InputError, match=f"can't be cut to {special - 1} tokens: the special ones alone are more"):
        encoder(max_length=special - 1).encode(*texts)


def test_words_and_offsets_are_of_the_text():
    encoded = encoder().encode("Romes.")
    assert encoded.words == (None, 0, 0, 1, None)
    assert encoded.offsets[1:4] == ((0, 4), (4, 5), (5, 6))


def test_places_are_of_the_text_without_its_prompt():
    prompts = {"query": "good bad ", "half": "good ro"}
    prompted = TextEncoder(TOKENIZER, TextPreprocess("", 9, 0, pair=True, prompts=prompts), specs("input_ids"))
    encoded = prompted.encode("Romes.", "bad", "query")
    assert encoded.feeds["input_ids"].tolist() == [[2, 4, 5, 9, 11, 12, 3, 5, 3]]
    assert encoded.offsets == ((0, 0), (0, 0), (0, 0), (0, 4), (4, 5), (5, 6), (0, 0), (0, 3), (0, 0))
    assert encoded.words == (None, None, None, 2, 2, 3, None, 0, None)
    assert encoded.texts == (None, None, None, 0, 0, 0, None, 1, None)
    joined = prompted.encode("me", "bad", "half")
    assert (joined.offsets, joined.texts) == (
        ((0, 0), (0, 0), (0, 2), (0, 0), (0, 3), (0, 0)),
        (None, None, 0, None, 1, None),
    )


def test_a_damaged_tokenizer(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    preprocess = TextPreprocess("tokenizer.json", 8, 0)
    with pytest.raises(RuntimeBundleError, match=r"tokenizers .* can't read it"):
        TextEncoder(tmp_path / "tokenizer.json", preprocess, specs("input_ids"))


@pytest.mark.parametrize("key", ["continuing_subword_prefix", "continuing_subword_pr\\u0065fix"])
@pytest.mark.parametrize("merge", [["a", "\u00e9"], "a \u00e9"])
def test_a_prefix_that_splits_a_character_is_refused(key, merge):
    """Over which the package tokenizers ends the process."""
    model = {"type": "BPE", "key": "7", "vocab": {"a": 0, "\u00e9": 1}, "merges": [merge]}
    content = json.dumps({"model": model}).replace('"key"', f'"{key}"').encode()
    with pytest.raises(RuntimeBundleError, match="inside of a character of a merge"):
        TextEncoder(content, TextPreprocess("tokenizer.json", 8, 0), specs("input_ids"))


def test_a_prefix_of_merges_is_taken_off():
    vocabulary = {"a": 0, "##\u00e9": 1, "a\u00e9": 2, "##b": 3}
    merges = ["#version: 0.2", "a ##\u00e9"]
    model = {"type": "BPE", "continuing_subword_prefix": "##", "vocab": vocabulary, "merges": merges}
    content = json.dumps({"model": model}).encode()
    made = TextEncoder(content, TextPreprocess("tokenizer.json", 8, 0), specs("input_ids")).encode("a\u00e9b")
    assert made.feeds["input_ids"].tolist() == [[2, 3]]


def test_texts_are_checked():
    assert check_texts(["a", ("b", "c"), ["d", "e"]], pairs=True) == [("a", None), ("b", "c"), ("d", "e")]
    with pytest.raises(InputError, match="row 1: this model takes a text, got"):
        check_texts(["a", ("b", "c")], pairs=False)
    with pytest.raises(InputError, match=r"takes a pair \(text, text\), got 'a'"):
        check_texts(["a"], pairs=True, singles=False)
    with pytest.raises(InputError, match="put it in a list"):
        check_texts("a", pairs=False)


def test_tokens_that_are_cut_are_counted():
    assert encoder().encode("good " * 6).tokens_cut == 0
    assert encoder().encode("good " * 7).tokens_cut == 1
    assert encoder().encode("good " * 1000).tokens_cut == 994
    asking = encoder(cut="second").encode("good good good", "bad " * 20)
    assert asking.tokens_cut == 20 - asking.texts.count(1)
    assert encoder().encode("good", "bad").tokens_cut == 0
    assert encoder().encode("good " * 20, "bad " * 20).tokens_cut is None


@pytest.mark.parametrize("side", ["right", "left"])
def test_tokens_that_are_cut_are_counted_without_a_post_processor(side):
    content = json.loads(TOKENIZER.read_text("utf-8"))
    content["post_processor"] = None
    preprocess = TextPreprocess("tokenizer.json", 8, 0, truncation=side, cut="second")
    plain = TextEncoder(json.dumps(content).encode(), preprocess, specs("input_ids"))
    encoded = plain.encode("good good good", "bad " * 20)
    assert (encoded.texts.count(1), encoded.tokens_cut) == (5, 15)
    longest = replace(preprocess, cut="longest")
    single = TextEncoder(json.dumps(content).encode(), longest, specs("input_ids")).encode("bad " * 20)
    assert (single.tokens, single.tokens_cut) == (8, 12)


def test_what_is_no_well_formed_text():
    with pytest.raises(InputError, match=r"character 5 is half of a surrogate pair"):
        encoder().encode("good \ud83e bad")
    with pytest.raises(InputError, match=r"character 0 is half"):
        encoder().encode("good", "\udc00")


def test_rows_are_filled_up_where_the_model_reads_a_fixed_place():
    preprocess = TextPreprocess("tokenizer.json", 6, 7, pad_to_max=True)
    encoded = TextEncoder(TOKENIZER, preprocess, specs("input_ids", "attention_mask")).encode("good")
    assert encoded.feeds["input_ids"].tolist() == [[2, 4, 3, 7, 7, 7]]
    assert encoded.feeds["attention_mask"].tolist() == [[1, 1, 1, 0, 0, 0]]
    assert encoded.tokens == 3
    assert "filled up to that" in preprocess.in_words()
    assert text_from_dict(text_to_dict(preprocess), "p") == preprocess
