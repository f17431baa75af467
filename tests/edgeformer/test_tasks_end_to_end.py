"""Every task from files to predictions: compiled, verified on labelled rows, opened by the device's Session."""

import json
import shutil
from itertools import pairwise

import pytest
import torch
import transformers

import edgeformer as ef
from edgeformer.errors import SamplesError
from edgeformer_runtime import Session

SIZES = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
         "max_position_embeddings": 64, "initializer_range": 0.3}  # fmt: skip


@pytest.fixture
def compile_task(tiny_model, tmp_path):
    def run(auto_class, rows, **options):
        torch.manual_seed(9)
        directory = tmp_path / "model"
        labels = options.pop("labels", None)
        names = {"id2label": dict(enumerate(labels))} if labels else {}
        auto_class.from_config(transformers.BertConfig(**SIZES, **names)).save_pretrained(directory)
        shutil.copy(tiny_model / "tokenizer.json", directory)
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
        return ef.compile(directory, output=tmp_path / "bundle", recipe=recipe, formats=["onnx"],
                          sequence_lengths=[24], evaluation=path, **options)  # fmt: skip

    return run


def test_pairs(compile_task):
    rows = [{"sentence1": "the film was good", "sentence2": "a bad book", "label": i % 2} for i in range(6)]
    bundle = compile_task(transformers.AutoModelForSequenceClassification, rows)
    assert [spec.name for spec in bundle.manifest.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    with Session.open(bundle.path, threads=1) as session:
        (found,) = session.predict([("the film was good", "a bad book")])
        (swapped,) = session.predict([("a bad book", "the film was good")])
    assert found.tokens == 10
    assert found.scores != swapped.scores


def test_tokens(compile_task):
    rows = [{"tokens": ["the", "actor", "was", "great"], "labels": ["O", "B-JOB", "O", "O"]} for _ in range(5)]
    bundle = compile_task(transformers.AutoModelForTokenClassification, rows, labels=["O", "B-JOB", "I-JOB"])
    assert bundle.manifest.metrics["uncompressed"]["metric_name"] == "token_accuracy"
    with Session.open(bundle.path, threads=1) as session:
        (found,) = session.predict(["the actor was great"])
    for entity in found.entities:
        assert "the actor was great"[entity.start : entity.end] == entity.text


def test_question_answering(compile_task):
    rows = [{"question": "book good", "context": "the actor was great and fun", "answers": ["great"]} for _ in range(5)]
    bundle = compile_task(transformers.AutoModelForQuestionAnswering, rows)
    assert [spec.name for spec in bundle.manifest.outputs] == ["start_logits", "end_logits"]
    with Session.open(bundle.path, threads=1) as session:
        (found,) = session.predict([("book good", "the actor was great and fun")])
    assert "the actor was great and fun"[found.start : found.end] == found.text != ""


def test_an_answer_outside_its_context_is_refused(compile_task):
    rows = [{"question": "book", "context": "the actor", "answers": ["film"]}]
    with pytest.raises(SamplesError, match="'film' is not in its context"):
        compile_task(transformers.AutoModelForQuestionAnswering, rows)


def test_embeddings_with_scores(compile_task):
    texts = ["the film was good", "a bad book", "great actor", "dull plot", "slow and sad"]
    rows = [{"text": a, "text_pair": b, "score": (i * 7) % 5} for i, (a, b) in enumerate(pairwise(texts))]
    bundle = compile_task(transformers.AutoModel, rows)
    before = bundle.manifest.metrics["uncompressed"]
    assert before["metric_name"] == "spearman"
    with Session.open(bundle.path, threads=1) as session:
        (found,) = session.predict(["the film was good"])
    assert found.embedding.shape == (32,)
    assert abs(float((found.embedding**2).sum()) - 1) < 1e-3


def test_multi_label(compile_task, tiny_model, tmp_path):
    rows = [{"text": "good film", "label": "a|c"}, {"text": "bad book", "label": "b"}]
    config = transformers.BertConfig(
        **SIZES, id2label={0: "a", 1: "b", 2: "c"}, problem_type="multi_label_classification"
    )
    directory = tmp_path / "multi"
    transformers.BertForSequenceClassification(config).save_pretrained(directory)
    shutil.copy(tiny_model / "tokenizer.json", directory)
    path = tmp_path / "multi.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    recipe = ef.Recipe.preset("int8").with_setting("gate.min_cosine_integer_activations=0.9")
    bundle = ef.compile(directory, output=tmp_path / "out", recipe=recipe, formats=["onnx"], sequence_lengths=[24],
                        evaluation=path)  # fmt: skip
    with Session.open(bundle.path, threads=1) as session:
        (found,) = session.predict(["good film"])
    assert set(found.labels) == {name for name, score in found.scores.items() if score >= 0.5}
