"""Families and tasks: what TaskModule computes equals transformers' own model on padded batches."""

import pytest
import torch
import transformers

from edgeformer.errors import ModelError
from edgeformer.families import architecture_for
from edgeformer.loading.load import load_model
from edgeformer.model.base import from_module
from edgeformer.tasks.masks import MASKED, additive_mask

SMALL = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 48, "max_position_embeddings": 40}  # fmt: skip
FAMILIES = {
    "bert": transformers.BertConfig(**SMALL),
    "roberta": transformers.RobertaConfig(**SMALL, pad_token_id=1, type_vocab_size=1),
    "xlm-roberta": transformers.XLMRobertaConfig(**SMALL, pad_token_id=1, type_vocab_size=1),
    "mpnet": transformers.MPNetConfig(**SMALL, pad_token_id=1),
    "electra": transformers.ElectraConfig(**SMALL, embedding_size=16),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=60, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=40
    ),
}
TASKS = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "feature-extraction": transformers.AutoModel,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    made = {}

    def get(family, task):
        if (family, task) not in made:
            torch.manual_seed(1)
            directory = tmp_path_factory.mktemp("families") / f"{family}-{task}"
            TASKS[task].from_config(FAMILIES[family]).eval().save_pretrained(directory)
            made[family, task] = directory
        return made[family, task]

    return get


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_transformers_with_padding(saved, family, task):
    directory = saved(family, task)
    model = load_model(directory, **({"pooling": "cls", "normalize": False} if task == "feature-extraction" else {}))
    assert model.task.name == task
    assert not model.untrained
    pad = model.signature.pad_token_id
    ids = torch.randint(5, 60, (2, 9))
    mask = torch.ones_like(ids)
    ids[1, 6:], mask[1, 6:] = pad, 0
    feeds = [ids, mask, torch.zeros_like(ids)][: len(model.inputs)]
    with torch.no_grad():
        found = model.callable_module()(*feeds)
        expected = TASKS[task].from_pretrained(directory).eval()(input_ids=ids, attention_mask=mask)
    if task == "feature-extraction":
        wanted = [expected.last_hidden_state[:, 0]]
    elif task == "question-answering":
        wanted = [expected.start_logits, expected.end_logits]
    else:
        wanted = [expected.logits]
    for a, b in zip(found, wanted, strict=True):
        keep = mask.bool() if task in ("token-classification", "question-answering") else slice(None)
        torch.testing.assert_close(a[keep], b[keep], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_linear_of_a_described_family_has_a_role(saved, family):
    from edgeformer.model.layers import quantizable_layers

    model = load_model(saved(family, "text-classification"))
    architecture = architecture_for(model.architecture)
    assert architecture.name != "generic"
    roles = {path: architecture.role(path) for path in quantizable_layers(model.module)}
    assert {path for path, role in roles.items() if role == "other"} <= {"mpnet.encoder.relative_attention_bias"}
    assert set(roles.values()) >= {"embedding", "attention", "feed_forward", "head"}


def test_mean_pooling_ignores_padding(saved):
    model = load_model(saved("bert", "feature-extraction"))
    module = model.callable_module()
    ids = torch.randint(5, 60, (1, 6))
    padded = torch.nn.functional.pad(ids, (0, 4))
    mask = torch.tensor([[1] * 6 + [0] * 4])
    with torch.no_grad():
        short, long = module(ids, torch.ones_like(ids))[0], module(padded, mask)[0]
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(short.norm(dim=-1), torch.ones(1))


def test_masked_keys_get_exactly_no_weight():
    mask = additive_mask(torch.tensor([[1, 0]]))
    assert mask.shape == (1, 1, 1, 2)
    assert torch.softmax(mask + torch.randn(1, 1, 1, 2) * 50, -1)[..., 1].item() == 0.0
    assert abs(MASKED) < torch.finfo(torch.float16).max


def test_all_keys_masked_is_finite(saved):
    module = load_model(saved("bert", "text-classification")).callable_module()
    ids = torch.randint(5, 60, (1, 6))
    with torch.no_grad():
        assert torch.isfinite(module(ids, torch.zeros_like(ids))[0]).all()


def test_digest_follows_weights_and_nothing_else(saved):
    first, second = (load_model(saved("bert", "text-classification")) for _ in range(2))
    assert first.digest() == second.digest()
    with torch.no_grad():
        second.module.classifier.bias[0] += 1e-3
    assert first.digest() != second.digest()


def test_positions_limit_the_length(saved):
    assert load_model(saved("bert", "feature-extraction")).max_length == 40
    assert load_model(saved("roberta", "feature-extraction")).max_length == 38


def test_from_module_names_outputs():
    with pytest.raises(ModelError, match="1 outputs, but 2 output names"):
        from_module(torch.nn.Linear(3, 2), {"x": torch.randn(2, 3)}, output_names=["a", "b"])


@pytest.mark.parametrize(
    ("task", "wishes", "said"),
    [
        ("text-classification", {"labels": ["a", "a"]}, "labels 'a', 'a': expected each once, and none empty"),
        ("text-classification", {"labels": ["a", ""]}, "labels 'a', '': expected each once, and none empty"),
        ("feature-extraction", {"labels": ["a", "b"]}, "has no labels, got 'a', 'b': leave --labels out$"),
        ("text-classification", {"hypothesis_template": "a {}"}, "got 'a {}': .* Leave --hypothesis-template out$"),
        ("text-classification", {"pooling": "cls", "normalize": False}, "pools no tokens .* got pooling, normalize: "),
    ],
)
def test_settings_that_would_fail_later_or_be_dropped_are_refused(saved, task, wishes, said):
    with pytest.raises(ModelError, match=said):
        load_model(saved("bert", task), **wishes)
