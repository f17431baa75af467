import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer.errors import RecipeError
from edgeformer.passes.merge_lora import AdapterSource, MergeLora
from edgeformer.passes.quantize import Quantize
from edgeformer.recipe import PRESETS, ExportSettings, Gate, Recipe
from edgeformer_converters.onnx.tensorrt import TensorRTSettings

FORMATS = st.sampled_from(["float32", "int8", "int4", "int8-asym", "int4-block32", "int4-asym-block128", "int8-tensor"])
quantize_steps = st.builds(
    Quantize,
    algorithm=st.sampled_from(["rtn", "mse"]),
    embedding=FORMATS,
    attention=FORMATS,
    feed_forward=FORMATS,
    head=FORMATS,
    layers=st.dictionaries(st.sampled_from([r"layer\.0\.", "query$", r"\d+"]), FORMATS),
)
merges = st.builds(
    MergeLora,
    adapters=st.lists(st.builds(AdapterSource, path=st.text(min_size=1), weight=st.floats(-9, 9)), max_size=3).map(
        tuple
    ),
)
recipes = st.builds(
    Recipe,
    steps=st.lists(st.one_of(quantize_steps, merges), max_size=3).map(tuple),
    export=st.builds(
        ExportSettings,
        formats=st.lists(st.sampled_from(["onnx", "tflite"]), max_size=2).map(tuple),
        sequence_lengths=st.lists(st.integers(2, 4096), min_size=1, max_size=4).map(tuple),
        backends=st.sampled_from([None, 0, 1]).map(lambda core: {"tensorrt": TensorRTSettings(dla_core=core)}),
    ),
    gate=st.builds(Gate, max_drop=st.one_of(st.none(), st.floats(0, 1))),
)


@given(recipes)
def test_toml_round_trip_loses_nothing(recipe):
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_toml(name):
    assert Recipe.from_toml(Recipe.preset(name).to_toml()) == Recipe.preset(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stps = []", "did you mean 'steps'"),
        ("version = 2", "reads version 1"),
        ('[[steps]]\npass = "quantise"', "did you mean 'quantize'"),
        ('[[steps]]\npass = "quantize"\nfeedforward = "int4"', "did you mean 'feed_forward'"),
        ('[[steps]]\npass = "quantize"\nattention = "int5"', "int5"),
        ('[[steps]]\npass = "quantize"\nattention = 8', "expected str"),
        ('[[steps]]\nname = "quantize"', "the key 'pass'"),
        ("[gate]\nmax_drop = 5.0", "between 0 and 1"),
        ("[gate]\nmax_drop = true", "expected float"),
        ("[export]\nsequence_lengths = [1]", "at least 2"),
        ("[export.tensorrt]\ndla_core = 2", "export.tensorrt: dla_core = 2: expected 0 or 1"),
        ("[export.tensorrt]\nworkspace_bytes = 0", "at least 1"),
        ("[export.tensorrt]\ndla_cor = 1", "export.tensorrt: unknown key .*did you mean 'dla_core'"),
        ("[export.tflite]\ndla_core = 1", "export.tflite: unknown key 'dla_core': it has no settings"),
        ("[export.coreml]\nshapes = 'some'", "export.coreml: shapes = 'some': expected enumerated or range"),
        ("[export]\nplatform = 'symbian'", "expected one of android, ios, web"),
        ("[export.tensorr]\ndla_core = 1", "export: unknown key .*did you mean 'tensorrt'"),
        ("export = 3", "export: expected a table"),
        ('[[steps]]\npass = "quantize"\n[steps.layers]\n"(" = "int8"', "quantize: \\("),
        ("steps = 3", r"expected \[\[steps\]\]"),
        ("[gate", "not valid TOML"),
    ],
)
def test_mistakes_are_named(text, expected):
    with pytest.raises(RecipeError, match=expected):
        Recipe.from_toml(text)


def test_set_changes_one_key():
    recipe = Recipe.preset("balanced").with_setting("quantize.feed_forward=int8")
    assert recipe.steps[1].feed_forward == "int8"
    assert recipe.steps[1].attention == "int8"
    assert Recipe.preset("balanced").steps[1].feed_forward == "int4"


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [("export.sequence_lengths=64,128", (64, 128)), ("export.sequence_lengths=96", (96,))],
)
def test_set_reads_lists(assignment, expected):
    assert Recipe.preset("int8").with_setting(assignment).export.sequence_lengths == expected


@pytest.mark.parametrize("assignment", ["quantize", "quantise.head=int8", "quantize.heads=int8", "gate.max_drop=x"])
def test_set_refuses(assignment):
    with pytest.raises(RecipeError):
        Recipe.preset("balanced").with_setting(assignment)


def test_unknown_preset_and_missing_file(tmp_path):
    with pytest.raises(RecipeError, match="did you mean 'balanced'"):
        Recipe.load("balancd")
    with pytest.raises(RecipeError, match="not found"):
        Recipe.load(str(tmp_path / "none.toml"))


def test_adapters_are_put_first_when_no_step_takes_them():
    recipe = Recipe(steps=(Quantize(),)).with_adapters((AdapterSource("a"),))
    assert [step.name for step in recipe.steps] == ["merge_lora", "quantize"]


def test_the_guide_s_recipe_loads_and_comes_back():
    from pathlib import Path

    guide = (Path(__file__).resolve().parents[2] / "examples" / "compile_guide.md").read_text(encoding="utf-8")
    recipe = Recipe.from_toml(guide.split("```toml\n")[1].split("```")[0])
    assert [step.name for step in recipe.steps][-1] == "allocate"
    assert recipe.gate.max_size_bytes == 9_000_000
    assert Recipe.from_toml(recipe.to_toml()) == recipe
