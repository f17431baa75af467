"""The quantize pass where it looks at real inputs: order of layers, ties, layers without inputs, resuming, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeformer.data.batching import padded_batches
from edgeformer.errors import InputError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.model.base import from_module
from edgeformer.passes.base import PassContext
from edgeformer.passes.quantize import Quantize
from edgeformer.probing import layer_inputs
from edgeformer.quantization import gptq
from edgeformer.quantization.choose import Settings, choose_by_inputs
from edgeformer.stages import Stages
from edgeformer.variants.verification import run_torch
from edgeformer_converters.ops import QuantizedEmbedding, QuantizedLinear, WeightFormat

FOUR_BITS = dict.fromkeys(("attention", "feed_forward", "pooler", "other"), "int4")
QUERY = "bert.encoder.layer.0.attention.self.query"
LAST = "bert.encoder.layer.1.output.dense"


def layers(model):
    return {path: m for path, m in model.module.named_modules() if isinstance(m, QuantizedLinear | QuantizedEmbedding)}


def logits(model, context):
    rows = context.calibration(model, "test").feeds
    return np.stack([row["logits"] for row in run_torch(model, rows)])


@pytest.fixture(scope="module")
def by_block(model, context):
    return Quantize(algorithm="gptq", **FOUR_BITS).run(model, context)


def test_gptq_keeps_the_outputs_closer_than_clip_search(model, context, by_block):
    exact = logits(model, context)
    plain = Quantize(algorithm="mse", **FOUR_BITS).run(model, context)
    errors = [np.square(logits(result.model, context) - exact).mean() for result in (by_block, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert by_block.facts["formats"] == plain.facts["formats"]
    for path, layer in layers(by_block.model).items():
        assert layer.integer_weight().format == layers(plain.model)[path].integer_weight().format


def test_facts_say_what_ran(model, by_block):
    facts = by_block.facts
    assert facts["inputs_from"] == "the model with quantized earlier layers"
    assert facts["calibration_tokens"] > 400
    # the pooler sees one token a row; the last block's columns are the widest
    assert facts["tokens_per_channel_min"] > 1
    assert facts["fewer_tokens_than_channels"] == []
    assert set(facts["without_inputs"]) == {"bert.embeddings.word_embeddings", "bert.embeddings.position_embeddings"}
    assert facts["without_inputs"]["bert.embeddings.word_embeddings"] == {
        "algorithm": "mse",
        "reason": "an embedding has no input activations",
    }
    assert set(facts["relative_output_errors"]) == set(facts["layers"]) - set(facts["without_inputs"])
    json.dumps(facts)


def test_the_given_model_is_left_alone(tiny_model, context):
    model = load_model(tiny_model)
    before = model.digest()
    Quantize(algorithm="gptq", bias_correction=True).run(model, context)
    assert model.digest() == before


def test_sequential_inputs_are_those_of_a_whole_run_of_the_half_quantized_model(model, context, by_block):
    """Independent of the replay of stored blocks: run the finished model up to a layer and choose again."""
    from edgeformer.probing.activations import input_statistics

    batches = padded_batches(model, context.calibration(model, "test"))
    for path in (QUERY, LAST):
        inputs = input_statistics(by_block.model, batches, [path], gram=True)[path]
        weight = model.module.get_submodule(path).weight.numpy()
        expected = gptq.quantize(weight, WeightFormat.parse("int4"), inputs)
        found = layers(by_block.model)[path].integer_weight()
        assert (found.integers != expected.integers).mean() < 0.002  # float32 sums of other batches differ in the end


def test_one_shot_looks_at_the_float_model(model, context, by_block):
    result = Quantize(algorithm="gptq", sequential=False, **FOUR_BITS).run(model, context)
    assert result.facts["inputs_from"] == "the float model"
    assert "not_sequential_because" not in result.facts
    assert not layers(result.model)[LAST].integer_weight().same_as(layers(by_block.model)[LAST].integer_weight())


def test_a_family_without_blocks_is_told_to_be_one_shot(model, context):
    result = Quantize(algorithm="gptq").run(replace(model, architecture="unheard-of"), context)
    assert result.facts["inputs_from"] == "the float model"
    assert "no description of its blocks" in result.facts["not_sequential_because"]


def test_blocks_that_share_weights_are_one_shot(tiny_model, context):
    model = load_model(tiny_model)
    model.module.bert.encoder.layer[1] = model.module.bert.encoder.layer[0]
    result = Quantize(algorithm="gptq").run(model, context)
    assert result.facts["not_sequential_because"] == "blocks share their weights"
    first, second = result.model.module.bert.encoder.layer
    assert first.output.dense is second.output.dense
    assert isinstance(first.output.dense, QuantizedLinear)


def test_blocks_that_are_not_a_chain_are_found_out(tiny_model, context):
    model = load_model(tiny_model)
    batch = padded_batches(model, context.calibration(model, "test"))[0]
    assert layer_inputs.blocks_in_a_chain(model, batch)[1] is None
    model.module.bert.encoder.layer[1].register_forward_pre_hook(lambda _, args: (args[0] * 2, *args[1:]))
    blocks, reason = layer_inputs.blocks_in_a_chain(model, batch)
    assert blocks == ()
    assert "bert.encoder.layer.1 doesn't take the output" in reason


class Tied(torch.nn.Module):
    """A layer used twice, two linears that share a weight, and a head that shares the table's."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(64, 32)
        self.first = torch.nn.Linear(32, 32)
        self.again = self.first
        self.other = torch.nn.Linear(32, 32)
        self.other.weight = self.first.weight
        self.unused = torch.nn.Linear(32, 8)
        self.head = torch.nn.Linear(32, 64, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids):
        return self.head(self.other(self.again(self.first(self.table(ids)).relu()).relu()))


def test_ties_stay_and_layers_without_inputs_are_named():
    model = from_module(Tied().requires_grad_(False), {"ids": torch.arange(96).reshape(48, 2) % 64})
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, 64, (48, 5)))
    from edgeformer.data.batching import Batch

    plan = {path: WeightFormat.parse("int4") for path in ("table", "first", "other", "unused", "head")}
    settings = Settings("gptq", sequential=True, bias_correction=True)
    chosen = choose_by_inputs(model, plan, settings, [Batch((ids,), tuple(range(48)), None)])
    assert chosen.weights["first"].same_as(chosen.weights["other"])
    assert chosen.weights["head"].same_as(chosen.weights["table"])
    reasons = {path: item["reason"] for path, item in chosen.facts["without_inputs"].items()}
    assert reasons == {
        "table": "an embedding has no input activations",
        "head": "shares its weight with the embedding table",
        "unused": "never runs on the calibration rows",
    }
    assert set(chosen.bias_shifts) == {"first", "other"}


def test_a_killed_run_resumes_with_the_same_integers(model, make_context, tmp_path, by_block, monkeypatch):
    step = Quantize(algorithm="gptq", bias_correction=True, attention="int4-asym-block32", feed_forward="int8-block32")
    made = step.run(model, make_context(120, stages=Stages(tmp_path)))
    monkeypatch.setattr("edgeformer.passes.quantize.choose_by_inputs", lambda *a: pytest.fail("should be kept"))
    stages = Stages(tmp_path)
    kept = step.run(model, make_context(120, stages=stages))
    assert [record.resumed for record in stages.records] == [True]
    assert kept.facts == made.facts
    assert kept.model.digest() == made.model.digest()


@pytest.mark.parametrize("algorithm", ["rtn", "mse", "gptq"])
def test_bias_correction_removes_the_mean_error_of_each_layer(model, context, algorithm):
    result = Quantize(algorithm=algorithm, bias_correction=True, sequential=False, **FOUR_BITS).run(model, context)
    plain = Quantize(algorithm=algorithm, sequential=False, **FOUR_BITS).run(model, context)
    assert QUERY in result.facts["bias_corrected"]
    assert result.facts["no_bias_to_correct"] == []
    batch = padded_batches(model, context.calibration(model, "test"), size=1000)[0]
    exact = mean_output(model.module, QUERY, model, batch)
    corrected, uncorrected = (mean_output(r.model.module, QUERY, model, batch) for r in (result, plain))
    assert (uncorrected - exact).abs().max() > 1e-3
    torch.testing.assert_close(corrected, exact, atol=1e-4, rtol=0)


def mean_output(module, path, model, batch):
    """Mean output of the layer that ``module`` has at ``path``, on what flows into it in the float model."""
    found = []
    layer = model.module.get_submodule(path)
    handle = layer.register_forward_pre_hook(lambda _, args: found.append(args[0][batch.real]))
    with torch.inference_mode():
        model.callable_module()(*batch.tensors)
        handle.remove()
        return module.get_submodule(path)(found[0]).mean(0)


def test_too_few_rows_are_refused(model, make_context):
    with pytest.raises(InputError, match=r"gptq needs at least 32 calibration rows, .* gives 12: add rows"):
        Quantize(algorithm="gptq").run(model, make_context(12))


def test_without_rows_it_is_refused(model):
    with pytest.raises(InputError, match="gptq chooses by real inputs: give --calibration FILE"):
        Quantize(algorithm="gptq").run(model, PassContext())
    with pytest.raises(InputError, match="bias correction chooses by real inputs"):
        Quantize(bias_correction=True).run(model, PassContext())


@pytest.mark.parametrize("sequential", [True, False])
def test_activations_that_are_not_finite_name_the_layer(tiny_model, context, sequential):
    broken = load_model(tiny_model)
    with torch.no_grad():
        broken.module.bert.encoder.layer[0].intermediate.dense.bias[3] = float("inf")
    with pytest.raises(InputError, match=r"layer bert\.encoder\.layer\.0\.output\.dense: NaN or infinite activations"):
        Quantize(algorithm="gptq", sequential=sequential).run(broken, context)


def test_weights_that_are_not_finite_name_the_layer(tiny_model, context):
    broken = load_model(tiny_model)
    with torch.no_grad():
        broken.module.bert.encoder.layer[1].output.dense.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"layer bert\.encoder\.layer\.1\.output\.dense: .*NaN"):
        Quantize(algorithm="gptq").run(broken, context)


@pytest.mark.parametrize("damping", [-0.1, 1.5])
def test_impossible_damping_is_refused(damping):
    with pytest.raises(RecipeError, match="damping"):
        Quantize(damping=damping)
