"""Heads: those that no task is for, heads of another width than config.json says, and labels in odd tables."""

import json
import shutil

import kit
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from edgeformer.errors import ModelError
from edgeformer.loading.load import load_model
from edgeformer.loading.weights_check import refuse_untrained


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A BERT classifier whose head has five outputs, without label names."""
    directory = tmp_path_factory.mktemp("heads") / "five"
    kit.bert_classifier(directory, num_labels=5)
    return directory


@pytest.fixture
def copy(five, tmp_path):
    """A copy of it to change."""
    return shutil.copytree(five, tmp_path / "model")


def reconfigure(directory, **settings):
    """Change config.json; None takes a key away."""
    file = directory / "config.json"
    config = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def saved(directory, model_class, **settings):
    """A random model of a class of transformers, with BERT's tokenizer."""
    tokenizer = kit.wordpiece(directory)
    config = model_class.config_class(vocab_size=len(tokenizer), **kit.SMALL, **settings)
    kit.seeded(model_class, config).save_pretrained(directory)
    return directory


HEADS = [
    pytest.param(transformers.BertForMaskedLM, "fills in masked words"),
    pytest.param(
        transformers.BertForPreTraining,
        "was for pretraining",
        marks=pytest.mark.complaint(
            "huggingface/optimum#1027",
            "mobilebert-uncased can't be exported: KeyError 'pretraining'",
            "one sentence that names the head and what to do",
        ),
    ),
    pytest.param(transformers.BertForNextSentencePrediction, "tells whether one sentence follows another"),
    pytest.param(
        transformers.BertForMultipleChoice,
        "compares several choices",
        marks=pytest.mark.complaint(
            "UKP-SQuARE/square-core#463",
            "models with a head are exported without it, as their class was taken for the plain encoder",
            "a head is never dropped in silence: refused by name",
        ),
    ),
    pytest.param(transformers.BertLMHeadModel, "generates text"),
]


@pytest.mark.parametrize(("model_class", "does"), HEADS)
def test_a_head_that_no_task_is_for(tmp_path, capsys, model_class, does):
    directory = saved(tmp_path / "model", model_class)
    result = kit.compile_model(capsys, directory, tmp_path / "bundle")
    assert result.status == 2
    assert f"its head, {model_class.__name__}, which {does}" in result.err
    assert "--task feature-extraction" in result.err
    assert not (tmp_path / "bundle").exists()


def test_without_its_head_where_that_is_said(tmp_path):
    directory = saved(tmp_path / "model", transformers.BertForMaskedLM)
    model = load_model(directory, task="feature-extraction", normalize=False)
    (note,) = model.notes
    assert note == "in the file but not used: 5 tensors under cls.predictions"
    ids = torch.arange(5, 25).reshape(2, 10)
    with torch.inference_mode():
        (found,) = model.callable_module()(ids, torch.ones_like(ids))
        encoder = transformers.AutoModel.from_pretrained(directory, dtype=torch.float32).eval()
        right = encoder(ids).last_hidden_state.mean(1)
    assert torch.allclose(found, right, atol=1e-5)


def test_a_task_that_the_file_has_no_head_for(tmp_path):
    directory = saved(tmp_path / "model", transformers.BertForMaskedLM)
    with pytest.raises(ModelError, match=r"in no file.*2 tensors under bert.pooler.dense, 2 tensors under classifier "):
        refuse_untrained(load_model(directory, task="text-classification"))


@pytest.mark.complaint(
    "huggingface/optimum#2211",
    "an embedding model is exported with a vector a token, where its one a text was wanted",
    "modules.json makes it an embedding model, whatever its encoder was trained as before",
)
def test_a_sentence_model_whose_encoder_filled_in_words(tmp_path):
    directory = saved(tmp_path / "model", transformers.BertForMaskedLM)
    kind = "sentence_transformers.models"
    modules = [{"idx": 0, "name": "0", "path": "", "type": f"{kind}.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{kind}.Pooling"}]  # fmt: skip
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    model = load_model(directory)
    assert model.task.name == "feature-extraction"
    assert any("cls.predictions" in note for note in model.notes)


def test_no_architectures_and_a_head_in_the_file(copy):
    reconfigure(copy, architectures=None)
    with pytest.raises(ModelError, match=r"names no architectures, and classifier.bias in the file.*--task"):
        load_model(copy)
    assert load_model(copy, task="text-classification").task.name == "text-classification"
    assert "2 tensors under classifier" in load_model(copy, task="feature-extraction").notes[0]


@pytest.mark.complaint(
    "huggingface/transformers#3093",
    "num_labels and id2label disagree in the config, and one of them wins",
    "the trained head's width counts; named labels of another number are refused with both numbers",
)
def test_two_labels_for_five_outputs(copy):
    reconfigure(copy, id2label={"0": "no", "1": "yes"}, label2id={"no": 0, "yes": 1})
    with pytest.raises(ModelError, match=r"file has 5 outputs, but config.json names 2 labels: no, yes.*--labels"):
        load_model(copy)
    assert load_model(copy, labels=list("abcde")).task.labels == tuple("abcde")


@pytest.mark.complaint(
    "huggingface/transformers#10449",
    "a config.json copied from another checkpoint has the labels of that one: failed assertions far away",
    "without names, the head is taken at its true width, and that is said",
)
def test_no_labels_at_all(five, copy):
    reconfigure(copy, id2label=None, label2id=None)
    model = load_model(copy)
    assert model.task.labels == tuple(f"LABEL_{i}" for i in range(5))
    assert model.notes == ("the trained head has 5 outputs, config.json says 2: they are called LABEL_0 to LABEL_4",)
    right = load_model(five).module.state_dict()
    assert all(torch.equal(tensor, right[name]) for name, tensor in model.module.state_dict().items())


def test_labels_of_another_number_than_the_head(copy):
    with pytest.raises(ModelError, match=r"classifier .*has 5 outputs, --labels names 3"):
        refuse_untrained(load_model(copy, labels=["a", "b", "c"]))


@pytest.mark.complaint(
    "google-research/bert#527",
    "labels that are numbered from 1 end in a KeyError",
    "as many labels as outputs, in their order, and that is said",
)
@pytest.mark.parametrize("numbers", [(1, 2, 3, 4, 5), (0, 1, 3, 4, 7)])
def test_labels_that_do_not_count_from_zero(copy, numbers):
    reconfigure(copy, id2label={str(n): f"c{n}" for n in numbers}, label2id=None)
    model = load_model(copy)
    assert model.task.labels == tuple(f"c{n}" for n in numbers)
    assert model.notes == (f"id2label counts {', '.join(map(str, numbers))}: taken in that order for outputs 0 to 4",)


def test_labels_that_occur_twice(copy):
    reconfigure(copy, id2label={"0": "a", "1": "a", "2": "b", "3": "b", "4": "c"}, label2id=None)
    with pytest.raises(ModelError, match=r"gives 'a' to more than one output.*--labels"):
        load_model(copy)


def test_labels_as_a_list(copy):
    reconfigure(copy, id2label=["a", "b", "c", "d", "e"], label2id=None)
    with pytest.raises(ModelError, match=r"not a table of numbers to labels: expected \{.*got \['a', 'b'"):
        load_model(copy)


def test_leftovers_of_pretraining_are_named(copy, tmp_path, capsys):
    file = copy / "model.safetensors"
    more = {f"cls.predictions.transform.dense.{part}": torch.zeros(3) for part in ("weight", "bias")}
    save_file({**load_file(file), **more, "ema_step": torch.ones(1)}, file, metadata={"format": "pt"})
    result = kit.compile_model(capsys, copy, tmp_path / "bundle", "--sequence-lengths", 32)
    said = "in the file but not used: 2 tensors under cls.predictions.transform.dense, ema_step"
    assert result.status == 0, result.err
    assert f"note: {said}" in result.out
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["sources"]["notes"] == [said]
    texts = kit.sentences(6, 3)
    right = torch.from_numpy(kit.transformers_logits(copy, texts)).softmax(-1).numpy()
    assert np.abs(kit.probabilities(kit.predictions(tmp_path / "bundle", texts)) - right).max() < 1e-5
