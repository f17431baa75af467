from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

import edgeformer as ef
from edgeformer.variants import golden
from edgeformer.variants.verification import similarities
from edgeformer_runtime import Session
from edgeformer_runtime.bundle.golden import DATA_NAME, GOLDEN_NAME, parse_golden, read_golden
from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph
from edgeformer_runtime.variants import self_check


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory):
    torch.manual_seed(2)
    config = transformers.BertConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    path = tmp_path_factory.mktemp("golden") / "model"
    transformers.BertForSequenceClassification(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def bundle(model_directory, tmp_path_factory):
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
    output = tmp_path_factory.mktemp("compiled") / "bundle"
    return ef.compile(model_directory, output=output, recipe=recipe, sequence_lengths=[16, 32], formats=["onnx"])


def entry(form="onnx", **formats):
    return VariantEntry("v", form, "onnxruntime", one_graph("m.onnx"), 1, weight_formats=formats)


def test_a_compile_stores_golden_rows_that_every_variant_answers_again(bundle, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path))
    found = read_golden(bundle)
    assert list(found.variants) == ["onnx"]
    assert [row["input_ids"].shape for row in found.rows] == [(1, 6), (1, 12), (1, 24)]
    assert found.texts == (None, None, None)  # a model without a tokenizer
    assert any(item.path == GOLDEN_NAME for item in bundle.manifest.files)
    assert (bundle.path / GOLDEN_NAME).stat().st_size < 10_000
    for name in found.variants:
        with Session.open(bundle.path, variant=name, threads=1) as session:
            assert "passed: 3 rows, least similarity 1.000000" in session.self_check


def test_rows_of_every_static_length_and_none_of_anyones_data(model_directory):
    model = ef.load_model(model_directory)
    rows = golden.golden_rows(model, (8, 16, 32, 64, 128, 256))
    lengths = [row["input_ids"].shape[1] for row in rows]
    assert lengths == sorted(set(lengths))
    assert (len(lengths), lengths[0], lengths[-1]) == (golden.MOST_LENGTHS, 6, 192)
    for row in rows:
        assert set(row) == {spec.name for spec in model.inputs}
        assert (row["input_ids"] != model.signature.pad_token_id).all()
        assert row["input_ids"].max() < 120
    again = golden.golden_rows(model, (8, 16, 32, 64, 128, 256))
    assert all(np.array_equal(a["input_ids"], b["input_ids"]) for a, b in zip(rows, again, strict=True))


def test_rows_of_a_network_of_tensors():
    network = torch.nn.Linear(3, 2)
    rows = golden.golden_rows(ef.from_module(network, {"features": torch.ones(1, 3)}), (64,))
    assert len(rows) == golden.TENSOR_ROWS
    assert {row["features"].shape for row in rows} == {(1, 3)}


def test_the_needed_similarity_follows_the_arithmetic_and_what_was_measured():
    assert golden.needed_similarity(entry(), 0) == 0.9999
    assert golden.needed_similarity(entry(int8=3), 1e-4) == 0.99
    assert golden.needed_similarity(entry(int8=3), 0.01) == 0.97
    assert golden.needed_similarity(entry(int4=3), 0.5) == 0.9
    assert golden.needed_similarity(entry("coreml", int8=3), 0) == 0.995
    assert golden.needed_similarity(entry("tensorrt"), 0) == 0.995
    assert golden.needed_similarity(entry("tensorrt", int8=3), 0) == 0.99


def test_fewer_rows_are_kept_where_outputs_are_large():
    row = {"y": np.zeros(golden.MAX_OUTPUT_BYTES // 8, np.float32)}
    assert golden._rows_that_fit([row, row, row]) == 2
    assert golden._rows_that_fit([{"y": np.zeros(golden.MAX_OUTPUT_BYTES, np.float32)}]) == 1


def test_device_and_host_measure_similarity_alike():
    rng = np.random.default_rng(0)
    expected = [{"a": rng.standard_normal((1, 4)).astype(np.float32) * 10.0**-index} for index in range(5)]
    found = [{"a": row["a"] + 0.01 * rng.standard_normal((1, 4)).astype(np.float32)} for row in expected]
    np.testing.assert_allclose(self_check.similarities(found, expected), similarities(found, expected), rtol=1e-12)


def test_what_a_compile_wrote_fits_its_manifest(bundle):
    files = tuple((bundle.path / name).read_bytes() for name in (GOLDEN_NAME, DATA_NAME))
    assert parse_golden(*files, bundle.manifest).to_files() == files


def test_texts_of_ours_are_golden_with_their_predictions(tiny_model, tmp_path):
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
    made = ef.compile(tiny_model, output=tmp_path / "out", recipe=recipe, sequence_lengths=[16], formats=["onnx"])
    found = read_golden(made)
    texts = [text.text for text in found.texts if text is not None]
    assert texts == list(golden.TEXTS)
    predictions = found.variants["onnx"].predictions
    assert [item is None for item in predictions] == [text is None for text in found.texts]
    with Session.open(made.path, threads=1) as session:
        for result, expected in zip(session.predict(texts), predictions[-len(texts) :], strict=True):
            assert result.label == expected["label"]
            assert (result.tokens, result.truncated) == (expected["tokens"], expected["truncated"])
