"""The loop from a budget to a bundle, with real exports; the open step is a plain list of quantize steps."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

import edgeformer as ef
from edgeformer.errors import GateError, RecipeError
from edgeformer.loading.load import load_model
from edgeformer.passes.base import FrontierPoint, OpenPass, PassResult
from edgeformer.recipe import Gate
from edgeformer.variants.export import Exported
from edgeformer.variants.search import Attempt, Candidate, closest, hopeless
from edgeformer_runtime.bundle.manifest import VariantEntry, one_graph

LADDER = ("int4", "int8", "float32")  # smallest first


@dataclass(frozen=True)
class Ladder(OpenPass):
    """Everything int4, then int8, then floats."""

    name: ClassVar[str] = "ladder"

    @property
    def has_budget(self):
        return False

    def frontier(self, model, context, points):
        return [FrontierPoint(damage=3.0 - i, size_bytes=1000 * (i + 1), plan=f) for i, f in enumerate(LADDER)]

    def steps(self, point):
        return (ef.Quantize(**dict.fromkeys(("embedding", "attention", "feed_forward", "pooler", "head"), point.plan)),)

    def run(self, model, context):
        return PassResult(model, changed=False)


def compile_ladder(model, output, **budget):
    recipe = ef.Recipe(steps=(Ladder(),), gate=Gate(min_cosine_integer_activations=-1.0))
    budget.setdefault("formats", ["onnx"])
    return ef.compile(model, output=output, recipe=recipe, sequence_lengths=[16], **budget)


def chosen_formats(bundle):
    return set(bundle.manifest.variants[0].weight_formats)


def test_with_a_drop_the_most_compressed_that_keeps_enough_is_taken(tiny_model, reviews, tmp_path):
    bundle = compile_ladder(tiny_model, tmp_path / "out", evaluation=reviews["evaluation"], max_drop=1.0)
    assert chosen_formats(bundle) == {"int4"}


def test_without_a_drop_the_least_damaged_that_fits_is_taken(tiny_model, tmp_path):
    recipe = ef.Recipe(
        steps=Ladder().steps(FrontierPoint(0, 0, "int8")), gate=Gate(min_cosine_integer_activations=-1.0)
    )
    made = ef.compile(tiny_model, output=tmp_path / "int8", recipe=recipe, formats=["onnx"], sequence_lengths=[16])
    size = made.manifest.variants[0].size_bytes  # floats take more
    bundle = compile_ladder(tiny_model, tmp_path / "out", max_size_bytes=size)
    assert chosen_formats(bundle) == {"int8"}
    # the recipe inside repeats the result without a search
    recipe = ef.Recipe.from_dict(json.loads(json.dumps(bundle.manifest.recipe)))
    again = ef.compile(tiny_model, output=tmp_path / "again", recipe=recipe, formats=["onnx"], sequence_lengths=[16])
    assert again.manifest.variants[0].weight_formats == bundle.manifest.variants[0].weight_formats


def test_a_budget_that_nothing_meets_says_what_binds_and_publishes_nothing(tiny_model, tmp_path):
    with pytest.raises(GateError, match=r"(?s)none of 3 candidates.*closest: .*what binds:.*MB, at most 0\.00 MB"):
        compile_ladder(tiny_model, tmp_path / "out", max_size_bytes=100)
    assert not (tmp_path / "out").exists()


def test_a_drop_that_nothing_shows_is_refused_before_the_work(tiny_model, tmp_path):
    with pytest.raises(ef.InputError, match=r"--max-drop 0\.01: .*give --evaluation"):
        compile_ladder(tiny_model, tmp_path / "out", max_drop=0.01)
    assert not (tmp_path / "out").exists()


def test_a_latency_that_nothing_meets(tiny_model, tmp_path):
    with pytest.raises(GateError, match=r"ms on this machine, at most 0\.00 ms are allowed"):
        compile_ladder(tiny_model, tmp_path / "out", max_latency_ms=0.0001)


def test_a_latency_that_can_not_be_checked_here_is_refused(tiny_model, tmp_path):
    with pytest.raises(GateError, match=r"no variant could be timed on this machine.*coreml"):
        compile_ladder(tiny_model, tmp_path / "out", max_latency_ms=1000.0, formats=["coreml"])


def test_an_open_step_without_a_budget_is_refused(tiny_model, tmp_path):
    with pytest.raises(RecipeError, match=r"step ladder chooses under a budget.*--max-drop"):
        compile_ladder(tiny_model, tmp_path / "out")


def test_integers_over_the_size_are_not_even_tried():
    candidate = Candidate("one", ef.Recipe(gate=Gate(max_size_bytes=1_000_000)), integer_bytes=2_000_000)
    assert hopeless(candidate) == ["its integers alone take 2.00 MB, at most 1.00 MB are allowed"]
    assert hopeless(Candidate("one", ef.Recipe(gate=Gate(max_size_bytes=3_000_000)), integer_bytes=2_000_000)) == []


def test_the_closest_attempt_is_one_that_was_exported(tiny_model):
    early = Attempt(Candidate("early", ef.Recipe()), problems=("too large",))
    entry = VariantEntry("onnx", "onnx", "an engine", one_graph("variants/onnx/model.onnx"), 2_000_000)
    made = Attempt(
        Candidate("made", ef.Recipe()), variants=(Exported(Path(), entry, {}, None),), problems=("slow", "too large")
    )
    error = str(closest([early, made, early], load_model(tiny_model)))
    assert "closest: made; what binds:\n    slow\n    too large" in error
    assert "none of 3 candidates" in error
    assert "early (not exported): too large" in error
    assert "made (2.00 MB): slow" in error
    assert "(prune_structured with recover, trim_vocabulary; the preset tiny has them)" in error
