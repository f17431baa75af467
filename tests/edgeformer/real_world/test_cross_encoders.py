"""Cross-encoders: scores are compared with ``CrossEncoder.predict``."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import sentence_transformers as st
import torch
from kit import bert_classifier, compile_model, predictions, sentences

from edgeformer.data.encoding import encode
from edgeformer.errors import ModelError
from edgeformer.loading.load import load_model
from edgeformer.rows.samples import Sample, Samples
from edgeformer.tasks import get_task
from edgeformer_runtime.bundle.manifest import TaskSpec
from edgeformer_runtime.tasks.scores import activated

TEXTS = sentences(6, 3)
PAIRS = list(itertools.pairwise(TEXTS))
LENGTHS = ("--sequence-lengths", "32,64")


def change(path: Path, values: dict) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def cross_encoder(directory: Path, labels: int, config: dict) -> st.CrossEncoder:
    bert_classifier(directory, num_labels=labels)
    change(directory / "config.json", config)
    # BERT's own class returns them; the bare one that the kit saves does so when told
    names = ["input_ids", "token_type_ids", "attention_mask"]
    change(directory / "tokenizer_config.json", {"model_input_names": names})
    return st.CrossEncoder(str(directory), device="cpu")


def outputs_of(model) -> list[dict[str, np.ndarray]]:
    rows = encode(model.signature, Samples("pairs", tuple(Sample(a, b) for a, b in PAIRS), ""), 64).feeds
    run = model.callable_module()
    with torch.no_grad():
        outputs = [run(*(torch.from_numpy(row[spec.name]) for spec in model.inputs))[0][0] for row in rows]
    return [{"logits": output.numpy()} for output in outputs]


def newer(name: str) -> dict:
    return {"sentence_transformers": {"activation_fn": f"torch.nn.modules.{name}", "version": "5.0"}}


@pytest.mark.parametrize(
    ("labels", "config"),
    [
        pytest.param(
            1,
            newer("linear.Identity"),
            id="one output as it is",
            marks=pytest.mark.complaint(
                "huggingface/sentence-transformers#1058",
                "a reranker's scores are below 0 for one model and inside 0 to 1 for others",
                "the activation that the model names, here none",
            ),
        ),
        pytest.param(
            1,
            {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"},
            id="sigmoid as older releases name it",
            marks=pytest.mark.complaint(
                "huggingface/sentence-transformers#1004",
                "a cross-encoder gives 8.1 where the documentation promises a number between 0 and 1",
                "the older name of the activation is followed as well",
            ),
        ),
        pytest.param(1, {"sentence_transformers": {"version": "5.0"}}, id="sigmoid, for one output names none"),
        pytest.param(1, newer("activation.Tanh"), id="tanh"),
        pytest.param(3, newer("activation.Sigmoid"), id="sigmoid of several"),
        pytest.param(3, newer("linear.Identity"), id="several as they are, softmax applied"),
    ],
)
def test_scores_equal_predict(tmp_path, labels, config):
    reference = cross_encoder(tmp_path / "model", labels, config)
    model = load_model(tmp_path / "model", pair=True)
    softmax = {"apply_softmax": True} if labels > 1 and config == newer("linear.Identity") else {}
    expected = reference.predict(PAIRS, **softmax)
    found = [activated(model.task, row["logits"]) for row in outputs_of(model)]
    assert np.abs(np.array(found).reshape(expected.shape) - expected).max() < 1e-5


def test_the_metric_is_of_the_scores_and_not_of_the_outputs():
    logits, targets = np.array([-9.0, -1.0, 0.0, 2.0, 30.0]), [0.2, 0.1, 0.6, 0.7, 0.9]
    task = TaskSpec("text-classification", ("LABEL_0",), regression=True, activation="sigmoid")
    found = get_task(task).metric([{"logits": np.array([value], np.float32)} for value in logits], targets).value
    assert found == pytest.approx(np.corrcoef(1 / (1 + np.exp(-logits)), targets)[0, 1])


def test_a_regression_that_is_no_cross_encoder_stays_as_it_is(tmp_path):
    bert_classifier(tmp_path / "model", num_labels=1)
    assert load_model(tmp_path / "model").task.activation is None


@pytest.mark.complaint(
    "huggingface/sentence-transformers#1262",
    "a threshold between 0 and 1 can't be put on a reranker's scores, which aren't normalized",
    "the bundle's scores are those of predict(), and compile says which activation they come from",
)
def test_a_bundle_of_a_directory_as_releases_since_5_4_save_it(tmp_path, capsys):
    reference = cross_encoder(tmp_path / "plain", 1, {"sentence_transformers": {"version": "5.0"}})
    reference.save_pretrained(str(tmp_path / "model"))
    assert (tmp_path / "model" / "modules.json").is_file()
    compiled = compile_model(capsys, tmp_path / "model", tmp_path / "bundle", *LENGTHS, "--pair")
    assert compiled.status == 0, compiled.text
    assert "its scores are Sigmoid of the outputs" in compiled.text
    found = [item.value for item in predictions(tmp_path / "bundle", PAIRS)]
    assert np.abs(np.array(found) - reference.predict(PAIRS)).max() < 1e-5


def test_an_activation_of_its_own_is_refused(tmp_path):
    bert_classifier(tmp_path / "model", num_labels=1)
    path = tmp_path / "model" / "config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "sentence_transformers": {"activation_fn": "m.Scaled"}})
    )
    with pytest.raises(ModelError, match=r"activation 'm.Scaled': expected torch.nn's Identity, Sigmoid, Tanh"):
        load_model(tmp_path / "model")


@pytest.mark.complaint(
    "huggingface/transformers.js#497",
    "a cross-encoder runs as another kind of model and gives other numbers than predict()",
    "known from its files: pairs without being told, types as predict() feeds them in the installed release",
)
@pytest.mark.parametrize("types", [True, False])
def test_pairs_and_types_are_those_of_predict(tmp_path, types):
    reference = cross_encoder(tmp_path, 1, newer("linear.Identity"))
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings.pop("model_input_names")
    more = {"model_input_names": names} if types else {}  # without: the bare class, which gives none
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, **more}))
    reference = st.CrossEncoder(str(tmp_path), device="cpu")
    model = load_model(tmp_path)
    assert model.signature.text.pairs
    assert [spec.name for spec in model.inputs][2:] == (["token_type_ids"] if types else [])
    assert ("left out, as CrossEncoder.predict does" in " ".join(model.notes)) is not types
    found = [row["logits"][0] for row in outputs_of(model)]
    assert np.abs(np.array(found) - reference.predict(PAIRS)).max() < 1e-5
