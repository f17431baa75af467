"""Two texts in one row, for families with and without token types: equal to transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import transformers
from kit import (
    SMALL,
    byte_bpe,
    compile_model,
    our_logits,
    predictions,
    ran,
    seeded,
    sentences,
    transformers_logits,
    wordpiece,
    write_csv,
)

import edgeformer as ef
from edgeformer.compiler import InputOptions, _load
from edgeformer.data.encoding import text_preprocess
from edgeformer.errors import RecipeError

PAIRS = list(zip(sentences(6, 3), sentences(6, 4, (6, 30)), strict=True))
SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
DISTILBERT = {
    "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 64, "seq_classif_dropout": 0.0,
}  # fmt: skip


def classifier(directory, family, make_tokenizer, **config):
    """A classifier of the family with a tokenizer, saved as people save them."""
    tokenizer = make_tokenizer(directory)
    settings = {"vocab_size": len(tokenizer), "num_labels": 1, **config}
    made = transformers.AutoConfig.for_model(family, **settings)
    head = getattr(transformers, f"{type(made).__name__.removesuffix('Config')}ForSequenceClassification")
    seeded(head, made, gain=8).save_pretrained(directory)
    return directory


def saw(reference, complaint, right):
    return pytest.mark.complaint(reference, complaint, right)


FAMILIES = [
    pytest.param(
        "xlm-roberta", byte_bpe, {**SMALL, **SPECIAL, "max_position_embeddings": 66, "type_vocab_size": 1}, False,
        marks=saw("FlagOpen/FlagEmbedding#446", "the reranker's tokenizer gives no token types: is that meant?",
                  "pairs are taken without token types, of which the model has one"), id="xlm-roberta",
    ),
    pytest.param(
        "roberta", byte_bpe, {**SMALL, **SPECIAL, "max_position_embeddings": 66, "type_vocab_size": 1}, False,
        marks=saw("jamie8johnson/cqs#1036", "a reranker of RoBERTa's family is fed token types that its graph lacks",
                  "the graph's inputs and what is fed to it are the same"), id="roberta",
    ),
    pytest.param(
        "roberta", byte_bpe, {**SMALL, **SPECIAL, "max_position_embeddings": 66, "type_vocab_size": 2}, False,
        marks=saw("sbryngelson/ANEForge#190", "rerankers of RoBERTa's family are refused, only BERT's are taken",
                  "a table of two types that the tokenizer never uses needs no input"), id="roberta with unused types",
    ),
    pytest.param(
        "mpnet", byte_bpe, {**SMALL, **SPECIAL, "max_position_embeddings": 66}, False,
        marks=saw("huggingface/sentence-transformers#3319", "cross-encoders have no way to ONNX",
                  "pairs, without types"),
        id="mpnet",
    ),
    pytest.param(
        "distilbert", wordpiece, DISTILBERT, False,
        marks=saw("huggingface/transformers.js#525", "a distilled cross-encoder's two texts are not taken",
                  "pairs, though the tokenizer's second texts have type 1: the model has no types"), id="distilbert",
    ),
    pytest.param(
        "modernbert", wordpiece, {**SMALL, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3,
                                  "bos_token_id": 2, "eos_token_id": 3, "global_attn_every_n_layers": 1}, False,
        marks=saw("huggingface/transformers.js#497", "a cross-encoder runs, its scores aren't those of Python",
                  "the scores of transformers"), id="modernbert",
    ),
    pytest.param(
        "bert", wordpiece, SMALL, True,
        marks=saw("elixir-nx/bumblebee#444", "scores of a cross-encoder differ: token types were left out",
                  "token types are an input, 1 for the second text"), id="bert",
    ),
    pytest.param(
        "electra", wordpiece, {**SMALL, "embedding_size": 32}, True,
        marks=saw("antonellof/ferrox#44", "both halves of the pair are embedded as the first", "types 0 and 1"),
        id="electra",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("family", "make_tokenizer", "config", "types"), FAMILIES)
def test_scores_of_pairs_are_those_of_transformers(family, make_tokenizer, config, types, tmp_path):
    directory = classifier(tmp_path / "model", family, make_tokenizer, **config)
    wanted = transformers_logits(directory, PAIRS)
    assert np.ptp(wanted) > 1e-3
    np.testing.assert_allclose(our_logits(directory, PAIRS, pair=True), wanted, atol=1e-5)
    alone = [pair[0] for pair in PAIRS]
    np.testing.assert_allclose(
        our_logits(directory, alone, pair=True), transformers_logits(directory, alone), atol=1e-5
    )
    asked = ef.load_model(directory, pair=True)
    assert [spec.name for spec in asked.inputs][2:] == (["token_type_ids"] if types else [])
    assert text_preprocess(asked.signature, 32).pair
    # without --pair: taken where nothing is missing for it
    assert text_preprocess(ef.load_model(directory).signature, 32).pair is not types


@pytest.mark.complaint(
    "vllm-project/vllm#47772",
    "cut on the left, the kept tokens of the second text are still marked as the first's",
    "types and cuts of transformers' own encoding, on either side",
)
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("length", [5, 8, 17, 24])
def test_long_pairs_are_cut_as_transformers_cuts_them(side, length, tmp_path):
    directory = classifier(tmp_path / "model", "bert", lambda path: wordpiece(path, truncation_side=side), **SMALL)
    pairs = [*PAIRS, *((b, a) for a, b in PAIRS), ("the", sentences(1, 9, (40, 40))[0])]
    got = our_logits(directory, pairs, max_length=length, pair=True)
    np.testing.assert_allclose(got, transformers_logits(directory, pairs, max_length=length), atol=1e-5)


@pytest.mark.complaint(
    "huggingface/candle#2686",
    "a reranker of XLM-RoBERTa's family can't be run as the documentation of BERT's says",
    "compiled with or without rows of pairs, a bundle takes them, from Python and from the command line",
)
@pytest.mark.slow
def test_a_reranker_from_end_to_end(tmp_path, capsys):
    config = {**SMALL, **SPECIAL, "max_position_embeddings": 66, "type_vocab_size": 1}
    directory = classifier(tmp_path / "model", "xlm-roberta", byte_bpe, **config)
    made = compile_model(capsys, directory, tmp_path / "bundle", "--sequence-lengths", "64")
    assert made.status == 0, made.text
    wanted = transformers_logits(directory, PAIRS)[:, 0]
    found = predictions(tmp_path / "bundle", PAIRS)
    np.testing.assert_allclose([item.value for item in found], wanted, atol=1e-5)

    from edgeformer_runtime.cli import main

    shown = ran(capsys, main, ["predict", tmp_path / "bundle", "--pair", *PAIRS[0], "--json"])
    assert json.loads(shown.out)["results"][0]["value"] == pytest.approx(wanted[0], abs=1e-5)


@pytest.mark.complaint(
    "experimaestro/experimaestro-ir#36",
    "scores are quite different without the token types that training had",
    "rows of pairs in any of the files give the model its types",
)
@pytest.mark.parametrize("file", ["calibration", "training", "evaluation"])
def test_rows_of_pairs_in_any_file_bring_the_types(file, tmp_path):
    directory = classifier(tmp_path / "model", "bert", wordpiece, **{**SMALL, "num_labels": 2})
    first, second = zip(*PAIRS, strict=True)
    rows = write_csv(tmp_path / "rows.csv", {"sentence1": first, "sentence2": second, "label": [0, 1] * 3})
    with pytest.raises(RecipeError, match="sequence length 65"):  # the first check behind loading
        ef.compile(directory, output=tmp_path / "bundle", sequence_lengths=[65], **{file: rows})
    loaded = _load(directory, ef.Recipe.preset("int8"), InputOptions(), (None, rows))
    assert [spec.name for spec in loaded.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
