"""Prefixes of wrappers, and groups of names; on names alone."""

import re

import pytest

from edgeformer.errors import ModelError
from edgeformer.model.weight_names import grouped_text, groups, renaming

MODEL = ["bert.embeddings.weight", "bert.layer.0.weight", "bert.layer.1.weight", "classifier.weight"]


def patterns(names, missing=MODEL, base="bert."):
    """The file's names as ``renaming`` makes them, None where it does nothing."""
    found = renaming(names, missing, len(MODEL), base, "m")
    if found is None:
        return None
    made = []
    for name in names:
        matches = [(re.search(pattern, name), new) for pattern, new in found.patterns.items()]
        made.append(next((name.replace(m.group(0), new, 1) for m, new in matches if m), name))
    return made


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("module.", "'module.' taken off"),
        ("_orig_mod.module.", "'_orig_mod.', 'module.' taken off"),
        ("model.", "'model.' taken off"),
        ("net.0.model.", "'net.0.model.' taken off"),
        ("model._orig_mod.", "'_orig_mod.' taken off and 'model.' taken off"),
    ],
)
def test_a_prefix_of_all(prefix, said):
    names = [prefix + name for name in MODEL]
    assert patterns(names) == MODEL
    assert renaming(names, MODEL, len(MODEL), "bert.", "m").words == said


def test_the_encoder_has_another_name():
    names = [name.replace("bert.", "auto_model.") for name in MODEL[:-1]]
    assert patterns(names, MODEL[:-1]) == MODEL[:-1]
    words = renaming(names, MODEL[:-1], len(MODEL), "bert.", "m").words
    assert words == "'auto_model.' read as 'bert.'"
    assert patterns(names, [name.removeprefix("bert.") for name in MODEL[:-1]], "") == [
        name.removeprefix("bert.") for name in MODEL[:-1]
    ]


def test_what_has_another_prefix_stays():
    names = [*(f"model.{name}" for name in MODEL), "loss.weight", "metric.value"]
    assert patterns(names) == [*MODEL, "loss.weight", "metric.value"]


def test_a_prefix_inside():
    names = ["bert.layer.0._fsdp_wrapped_module.weight", "bert.layer.1._orig_mod.weight", "classifier.module.weight"]
    assert patterns(names, MODEL[1:]) == MODEL[1:]


def test_a_module_of_that_name_in_the_model_is_no_wrapper():
    assert patterns(["module.x.weight"], ["module.y.weight"]) is None
    assert patterns(["submodule.classifier.weight"]) is None  # explains one name of four


def test_two_that_would_serve():
    with pytest.raises(ModelError, match=r"'ema\.' and under 'model\.'"):
        patterns([f"{whose}.{name}" for whose in ("model", "ema") for name in MODEL])


def test_nothing_missing_nothing_renamed():
    assert patterns(["module.bert.layer.0.weight"], []) is None


def test_groups():
    unused = ["cls.predictions.bias", "cls.predictions.dense.bias", "cls.seq.bias", "bert.layer.2.weight", "step"]
    assert groups(unused, MODEL) == {"cls": 3, "bert.layer.2.weight": 1, "step": 1}
    assert groups(unused[:2], MODEL) == {"cls.predictions": 2}
    assert grouped_text(unused[:2], MODEL) == "2 tensors under cls.predictions"
    assert grouped_text(["a.b.c", "a.b.d", "x"], []) == "2 tensors under a.b, x"
    assert groups([], MODEL) == {}
