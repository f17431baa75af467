"""SetFit: a sentence encoder and a head of scikit-learn or torch, whose numbers come by JSON and never by a pickle."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import joblib
import kit
import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

from edgeformer.errors import ModelError
from edgeformer.loading.load import load_model
from edgeformer.sentences.setfit import CONVERSION, read_setfit_head

LABELS = ["ham", "spam", "news"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A sentence-transformers directory: BERT and its mean."""
    directory = tmp_path_factory.mktemp("setfit") / "encoder"
    tokenizer = kit.wordpiece(directory)
    config = transformers.BertConfig(vocab_size=len(tokenizer), **kit.SMALL)
    kit.seeded(transformers.BertModel, config).save_pretrained(directory)
    kind = "sentence_transformers.models"
    modules = [{"idx": 0, "name": "0", "path": "", "type": f"{kind}.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{kind}.Pooling"}]  # fmt: skip
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return directory


@pytest.fixture(scope="module")
def rows(encoder):
    """Texts, and sentence-transformers' embeddings of them."""
    texts = kit.sentences(40, 11)
    return texts, SentenceTransformer(str(encoder), device="cpu").encode(texts)


def saved(encoder, directory, head, normalize=False, labels=LABELS):
    """What SetFit's save_pretrained writes: the encoder, config_setfit.json, and joblib's pickle of the head."""
    shutil.copytree(encoder, directory)
    settings = {"labels": labels, "normalize_embeddings": normalize}
    (directory / "config_setfit.json").write_text(json.dumps(settings))
    joblib.dump(head, directory / "model_head.pkl")
    return directory


def convert(directory):
    """Run the command that the refusal prints, in a shell, as a user does."""
    command = CONVERSION.format(directory=directory).replace("python ", f"{sys.executable} ", 1)
    subprocess.run(
        command, shell=True, check=True, timeout=300, env={**os.environ, "PYTHONPATH": str(kit.__file__)[:-7]}
    )


def answers(model, texts, directory):
    """[rows, outputs]: the model's logits for one text at a time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    found = []
    for text in texts:
        fed = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
        with torch.inference_mode():
            found.append(model.callable_module()(fed["input_ids"], fed["attention_mask"])[0][0])
    return torch.stack(found).double()


@pytest.mark.complaint(
    "huggingface/setfit#418",
    "exported to ONNX, the head is lost: the outputs are those of a layer before it",
    "the bundle's scores are SetFit's predict_proba",
)
@pytest.mark.parametrize("normalize", [False, True])
def test_logistic_regression_in_a_bundle(encoder, rows, tmp_path, capsys, normalize):
    texts, vectors = rows
    if normalize:
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    head = LogisticRegression(C=50.0, max_iter=1000).fit(vectors, [index % 3 for index in range(len(texts))])
    directory = saved(encoder, tmp_path / "model", head, normalize)
    refused = kit.compile_model(capsys, directory, tmp_path / "bundle", "--sequence-lengths", 32)
    assert refused.status == 2
    assert "SetFit's head is a pickle (model_head.pkl)" in refused.err
    assert CONVERSION.format(directory=directory) in refused.err
    convert(directory)
    result = kit.compile_model(capsys, directory, tmp_path / "bundle", "--sequence-lengths", 32)
    assert result.status == 0, result.err
    found = kit.predictions(tmp_path / "bundle", texts)
    assert list(found[0].scores) == LABELS
    assert np.abs(kit.probabilities(found) - head.predict_proba(vectors)).max() < 1e-5


@pytest.mark.parametrize("classes", [["no", "yes"], [0, 1]])
def test_two_classes_of_one_row(encoder, rows, tmp_path, classes):
    texts, vectors = rows
    head = LogisticRegression(C=50.0, max_iter=1000).fit(vectors, [classes[index % 2] for index in range(len(texts))])
    directory = saved(encoder, tmp_path / "model", head, labels=["no", "yes"])
    convert(directory)
    model = load_model(directory)
    assert model.task.labels == ("no", "yes")
    found = answers(model, texts[:8], directory).softmax(-1).numpy()
    assert np.abs(found - head.predict_proba(vectors[:8])).max() < 1e-5


@pytest.mark.parametrize("wrapper", [OneVsRestClassifier, MultiOutputClassifier])
def test_many_labels(encoder, rows, tmp_path, wrapper):
    texts, vectors = rows
    targets = np.array([[index % 2, index % 3 == 0, index % 5 < 2] for index in range(len(texts))], dtype=int)
    head = wrapper(LogisticRegression(C=50.0, max_iter=1000)).fit(vectors, targets)
    directory = saved(encoder, tmp_path / "model", head)
    convert(directory)
    model = load_model(directory)
    assert model.task.multi_label
    assert model.task.labels == tuple(LABELS)
    right = head.predict_proba(vectors[:8])
    if isinstance(right, list):  # MultiOutputClassifier: one table a label
        right = np.stack([table[:, 1] for table in right], axis=1)
    assert np.abs(answers(model, texts[:8], directory).sigmoid().numpy() - right).max() < 1e-5


class DifferentiableHead(torch.nn.Module):
    """What SetFit's torch head keeps, and how it makes probabilities of it (setfit.SetFitHead.forward)."""

    def __init__(self, width, classes):
        super().__init__()
        self.linear = torch.nn.Linear(width, classes)
        self.temperature, self.eps, self.multitarget = 0.7, 1e-5, False

    def predict_proba(self, vectors):
        return (self.linear(vectors) / (self.temperature + self.eps)).softmax(-1)


DifferentiableHead.__name__ = DifferentiableHead.__qualname__ = "SetFitHead"
DifferentiableHead.__module__ = "setfit_head"


def test_a_torch_head(encoder, rows, tmp_path, monkeypatch):
    texts, vectors = rows
    module = type(sys)("setfit_head")
    module.SetFitHead = DifferentiableHead
    monkeypatch.setitem(sys.modules, "setfit_head", module)
    torch.manual_seed(3)
    head = DifferentiableHead(32, 3)
    directory = saved(encoder, tmp_path / "model", head)
    space = {"__builtins__": __builtins__}
    code = CONVERSION.format(directory=directory).split('"', 1)[1].removesuffix('"')
    exec(code, space)  # in this process: the class is here alone
    found = answers(load_model(directory), texts[:8], directory).softmax(-1)
    with torch.inference_mode():
        assert torch.allclose(found, head.predict_proba(torch.tensor(vectors[:8])).double(), atol=1e-5)


def test_a_chain_is_refused(encoder, rows, tmp_path):
    texts, vectors = rows
    targets = np.array([[index % 2, index % 3 == 0] for index in range(len(texts))], dtype=int)
    head = ClassifierChain(LogisticRegression()).fit(vectors, targets)
    directory = saved(encoder, tmp_path / "model", head, labels=["a", "b"])
    convert(directory)
    with pytest.raises(ModelError, match="rows of different lengths, as in a ClassifierChain"):
        load_model(directory)


def test_one_against_the_rest_is_no_softmax(encoder, rows, tmp_path):
    texts, vectors = rows
    head = OneVsRestClassifier(LogisticRegression()).fit(vectors, [index % 3 for index in range(len(texts))])
    directory = saved(encoder, tmp_path / "model", head)
    convert(directory)
    with pytest.raises(ModelError, match=r"'OneVsRestClassifier'.*no softmax of one linear layer"):
        load_model(directory)


@pytest.mark.complaint(
    "huggingface/setfit#338",
    "exporting a model with its head ends in an IndexError",
    "a pickle is never opened here; --task feature-extraction leaves the head out, and says so",
)
def test_the_pickle_is_never_opened(encoder, tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    directory = shutil.copytree(encoder, tmp_path / "model")
    (directory / "model_head.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match=r"SetFit's head is a pickle.*--task feature-extraction"):
        load_model(directory)
    model = load_model(directory, task="feature-extraction")
    assert model.notes == ("SetFit's head is not used",)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"coef": [[1.0] * 9] * 3, "intercept": [0.0] * 3, "kind": "SetFitHead"}, r"takes vectors of 9 .* makes 32"),
        ({"coef": [[1.0] * 32], "intercept": [0.0, 1.0]}, r"coef \[1, 32\] with intercept \[2\].*Convert the head"),
        ({"coef": [[float("nan")] * 32], "intercept": [0.0]}, r"not what the conversion writes"),
        ({"coef": 3, "intercept": [0.0]}, r"not what the conversion writes"),
        ({}, r"not what the conversion writes \(KeyError\('coef'\)\)"),
        ({"coef": [[1.0] * 32] * 3, "intercept": [0.0] * 3, "kind": "SVC"}, r"kind 'SVC'"),
        (
            {"coef": [[1.0] * 32] * 2, "intercept": [0.0] * 2, "kind": "SetFitHead"},
            r"2 outputs, but the labels are ham",
        ),
    ],
)
def test_heads_that_do_not_fit(encoder, tmp_path, head, message):
    directory = shutil.copytree(encoder, tmp_path / "model")
    (directory / "config_setfit.json").write_text(json.dumps({"labels": LABELS}))
    (directory / "model_head.json").write_text(json.dumps(head))
    with pytest.raises(ModelError, match=message):
        load_model(directory)


def test_labels_of_ones_own(encoder, tmp_path):
    directory = shutil.copytree(encoder, tmp_path / "model")
    head = {"coef": [[1.0] * 32] * 3, "intercept": [0.0] * 3, "kind": "SetFitHead"}
    (directory / "model_head.json").write_text(json.dumps(head))
    assert read_setfit_head(directory).labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert load_model(directory, labels=LABELS).task.labels == tuple(LABELS)
    with pytest.raises(ModelError, match="has 3 outputs, --labels names 2"):
        load_model(directory, labels=["a", "b"])
