"""The pipeline's promises, and each pass: changed, unchanged, refused with a reason."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from edgeformer.errors import AdapterError, EdgeformerError, InputError, ModelError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import Pass, PassBrokenError, PassContext, PassResult, run_passes
from edgeformer.passes.merge_lora import AdapterSource, MergeLora
from edgeformer.passes.quantize import Quantize
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear

CONTEXT = PassContext()


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@dataclass(frozen=True)
class Liar(Pass):
    name: ClassVar[str] = "liar"

    def run(self, model, context):
        return PassResult(model, changed=True)


@dataclass(frozen=True)
class Refusing(Pass):
    name: ClassVar[str] = "refusing"

    def requires(self, model, context):
        raise InputError("no")

    def run(self, model, context):
        raise RuntimeError("must not run")


def test_a_pass_that_only_claims_a_change_is_caught(model):
    with pytest.raises(PassBrokenError, match="pass liar: reported a change"):
        run_passes(model, [Liar()], CONTEXT)


def test_an_error_names_the_pass_and_those_before_it(model):
    with pytest.raises(InputError, match=r"pass refusing \(after quantize\): no"):
        run_passes(model, [Quantize(), Refusing()], CONTEXT)


def test_a_pass_that_is_not_for_the_model_is_refused_before_any_runs(model):
    class Unsuitable(Refusing):
        def suits(self, model):
            raise ModelError("not for this one")

    progress = []
    with pytest.raises(ModelError, match=r"^pass refusing: not for this one"):
        run_passes(model, [Quantize(), Unsuitable()], PassContext(progress=progress.append))
    assert progress == []


def test_the_uncompressed_model_is_the_merged_one(model, tiny_adapter):
    result = run_passes(model, [MergeLora((AdapterSource(str(tiny_adapter)),)), Quantize()], CONTEXT)
    merged = result.uncompressed.module.bert.encoder.layer[0].attention.self.query.weight
    assert not torch.equal(merged, model.module.bert.encoder.layer[0].attention.self.query.weight)
    assert isinstance(result.model.module.bert.encoder.layer[0].attention.self.query, QuantizedLinear)
    assert [record.name for record in result.records] == ["merge_lora", "quantize"]


def test_quantize_leaves_the_given_model_alone(model):
    before = model.digest()
    Quantize().run(model, CONTEXT)
    assert model.digest() == before


def test_quantize_follows_roles_and_patterns(model):
    result = Quantize(feed_forward="int4", layers={r"layer\.1\.output\.dense": "int4-block32"}).run(model, CONTEXT)
    formats = result.facts["layers"]
    assert formats["bert.encoder.layer.0.intermediate.dense"] == "int4"
    assert formats["bert.encoder.layer.1.output.dense"] == "int4-block32"
    assert formats["bert.encoder.layer.0.attention.self.query"] == "int8"
    assert "classifier" not in formats
    assert "bert.embeddings.token_type_embeddings" not in formats
    assert isinstance(result.model.module.bert.embeddings.word_embeddings, QuantizedEmbedding)


def test_quantize_unchanged(model):
    kept = Quantize(**dict.fromkeys(("embedding", "attention", "feed_forward", "pooler", "other"), "float32"))
    result = kept.run(model, CONTEXT)
    assert not result.changed
    assert result.model is model


def test_a_pattern_that_matches_nothing_is_refused(model):
    with pytest.raises(RecipeError, match="matches no layer"):
        Quantize(layers={"encodr": "int8"}).run(model, CONTEXT)


def test_a_layer_with_nan_is_named(tiny_model):
    broken = load_model(tiny_model)
    with torch.no_grad():
        broken.module.bert.encoder.layer[1].output.dense.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"layer bert\.encoder\.layer\.1\.output\.dense: .*NaN"):
        Quantize().run(broken, CONTEXT)


def test_blocks_that_do_not_fit_name_the_layer(model):
    with pytest.raises(InputError, match=r"layer bert\..*: .*blocks of 128"):
        Quantize(attention="int4-block128").run(model, CONTEXT)


def test_tied_layers_stay_tied():
    from edgeformer.model.base import from_module

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(8, 8)
            self.second = self.first

        def forward(self, x):
            return self.second(self.first(x))

    model = from_module(Tied(), {"x": torch.randn(2, 8)})
    quantized = Quantize().run(model, CONTEXT).model.module
    assert isinstance(quantized.first, QuantizedLinear)
    assert quantized.first is quantized.second


def test_per_tensor_plan_keeps_floats_and_tables_float():
    plan = Quantize(layers={"a": "float32", "b": "int4"}).per_tensor()
    assert (plan.attention, plan.embedding, plan.head) == ("int8-tensor", "float32", "float32")
    assert plan.layers == {"a": "float32", "b": "int8-tensor"}


def test_merge_without_adapters_changes_nothing(model):
    assert not MergeLora().run(model, CONTEXT).changed


def test_merge_refuses_an_adapter_of_another_base(tiny_adapter, tmp_path):
    import transformers

    other = transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=64, hidden_size=48, num_hidden_layers=2, num_attention_heads=4)
    )
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(AdapterError):
        MergeLora((AdapterSource(str(tiny_adapter)),)).run(load_model(tmp_path / "other"), CONTEXT)


def test_a_trained_head_with_more_labels_comes_along(tiny_model, tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    base = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=4, ignore_mismatched_sizes=True)
    tuned = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"]))
    tuned.save_pretrained(tmp_path / "lora")
    adapter = tmp_path / "lora"
    merge = MergeLora((AdapterSource(str(adapter)),))
    with pytest.raises(ModelError, match="4 outputs, but 2 labels are named"):
        merge.run(load_model(tiny_model), CONTEXT)  # loaded without a word of the adapter
    with pytest.raises(AdapterError, match="4 outputs, but 3 labels are named: a, b, c"):
        load_model(tiny_model, adapters=[adapter], labels=["a", "b", "c"])
    nameless = load_model(tiny_model, adapters=[adapter])
    assert nameless.task.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")
    assert any("4 outputs and no names" in note for note in nameless.notes), nameless.notes
    assert merge.run(nameless, CONTEXT).model.outputs[0].shape == ("batch", 4)
    result = merge.run(load_model(tiny_model, adapters=[adapter], labels=["a", "b", "c", "d"]), CONTEXT)
    assert result.model.task.labels == ("a", "b", "c", "d")
    assert result.model.outputs[0].shape == ("batch", 4)
    assert not result.model.untrained


@pytest.mark.parametrize(("text", "expected"), [("a/b", ("a/b", 1.0)), ("a/b=0.5", ("a/b", 0.5))])
def test_adapter_source(text, expected):
    source = AdapterSource.parse(text)
    assert (source.path, source.weight) == expected


def test_adapter_source_refuses_a_weight_that_is_no_number():
    with pytest.raises(EdgeformerError, match="expected DIR or DIR=NUMBER"):
        AdapterSource.parse("a=b")
