"""Allocation with interactions, against brute force on small problems."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer.allocation.joint import allocate_jointly, joint_damage
from edgeformer.allocation.knapsack import Option, Plan, Unit, allocate
from edgeformer.errors import InputError
from edgeformer.sensitivity.profile import FormatEntry, LayerProfile, Profile, shrinkage

FORMATS = ("int8", "int4")


def problem(seed, layers):
    """Damages ½ cᵀc of random changes c, as a profile measures them, and the units of its layers."""
    rng = np.random.default_rng(seed)
    change = rng.standard_normal((2 * layers, 3)) * np.tile([0.1, 1.0], layers)[:, None] + rng.normal(0, 0.5, 3)
    products = 0.5 * change @ change.T
    sizes = [[int(rng.integers(9, 17)), int(rng.integers(1, 9))] for _ in range(layers)]
    profiles = tuple(
        LayerProfile(
            f"l{i}", "attention", None, (4, 4), "linear", 64,
            {
                name: FormatEntry(products[2 * i + j, 2 * i + j].item(), sizes[i][j], None, None)
                for j, name in enumerate(FORMATS)
            },
        )
        for i in range(layers)
    )  # fmt: skip
    interactions = tuple(tuple(float(v) for v in row[:i]) for i, row in enumerate(products))
    profile = Profile("m", "d", "r", 1, FORMATS, "rtn", 0, "KL", profiles, interactions)
    units = [
        Unit(layer.path, tuple(Option(name, e.damage, e.size_bytes) for name, e in layer.formats.items()))
        for layer in profiles
    ]
    return profile, units, change


def plans(units):
    names = [unit.name for unit in units]
    for options in itertools.product(*(unit.options for unit in units)):
        yield Plan(tuple(zip(names, options, strict=True)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_the_prediction_is_the_damage_of_the_summed_change(seed, layers):
    profile, units, change = problem(seed, layers)
    index = {pair: number for number, pair in enumerate(profile.pairs)}
    for plan in itertools.islice(plans(units), 8):
        total = sum(change[index[pair]] for pair in plan.formats.items())
        assert profile.predicted_damage(plan.formats) == pytest.approx(0.5 * total @ total, abs=1e-9)
        assert joint_damage(plan, profile) == pytest.approx(0.5 * total @ total, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0, 1))
def test_no_plan_is_missed_by_one_or_two_exchanges_and_none_is_over_budget(seed, layers, share):
    profile, units, _ = problem(seed, layers)
    smallest = sum(min(o.size_bytes for o in u.options) for u in units)
    largest = sum(max(o.size_bytes for o in u.options) for u in units)
    budget = int(smallest + share * (largest - smallest))
    found = allocate_jointly(units, profile, budget)
    damage = joint_damage(found, profile)
    assert found.size_bytes <= budget
    assert damage <= joint_damage(allocate(units, budget), profile) + 1e-9
    for plan in plans(units):
        differing = sum(a != b for a, b in zip(plan.choices, found.choices, strict=True))
        if differing <= 2 and plan.size_bytes <= budget:
            assert damage <= joint_damage(plan, profile) + 1e-6


def test_it_is_nearly_always_the_best_plan():
    hits = []
    for seed in range(40):
        profile, units, _ = problem(seed, 6)
        budget = int(0.6 * sum(max(o.size_bytes for o in u.options) for u in units))
        fitting = [joint_damage(plan, profile) for plan in plans(units) if plan.size_bytes <= budget]
        if fitting:
            hits.append(joint_damage(allocate_jointly(units, profile, budget), profile) <= min(fitting) + 1e-9)
    assert np.mean(hits) >= 0.8


def test_without_interactions_it_is_the_additive_plan():
    profile, units, _ = problem(1, 4)
    bare = Profile(**{**vars_of(profile), "interactions": ()})
    assert allocate_jointly(units, bare, 40) == allocate(units, 40)
    with pytest.raises(InputError, match="no plan meets"):
        allocate_jointly(units, profile, 1)


def vars_of(profile):
    return {name: getattr(profile, name) for name in Profile.__dataclass_fields__}


def test_interactions_of_another_shape_are_refused():
    profile, _, _ = problem(1, 4)
    with pytest.raises(InputError, match="rows of interactions for 8 pairs"):
        Profile(**{**vars_of(profile), "interactions": ((),)})


def test_shrinkage_is_what_halves_of_the_rows_agree_on():
    rng = np.random.default_rng(0)
    real, noise = rng.standard_normal(4000), rng.standard_normal((2, 4000))
    assert shrinkage(real, real) == 1
    assert shrinkage(real, -real) == 0
    assert shrinkage(noise[0], noise[1]) < 0.1
    assert shrinkage(real + noise[0], real + noise[1]) == pytest.approx(0.5, abs=0.05)
    assert shrinkage(np.zeros(3), np.zeros(3)) == 1
    assert shrinkage(real, np.zeros_like(real)) == 0  # a single row has no second half


def test_common_damage_counts_by_its_weight():
    profile, units, _ = problem(0, 4)
    half = replace(profile, interactions_weight=0.5)
    plan = allocate(units).formats
    assert profile.common_damage(plan) != 0
    assert half.common_damage(plan) == pytest.approx(profile.common_damage(plan) / 2)
    assert Profile.from_dict(half.to_dict()) == half
    with pytest.raises(InputError, match="expected 0 to 1"):
        replace(profile, interactions_weight=1.5)
