"""Allocation against brute force, and against baselines."""

import itertools
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))
from baseline_plans import bits_only, random_plan

from edgeformer.allocation.knapsack import Option, Unit, allocate, frontier, smallest
from edgeformer.errors import InputError

amounts = st.integers(0, 40)


@st.composite
def unit_lists(draw, pruning=False):
    ratios = (0.0, 0.5) if pruning else (None,)
    units = []
    for index in range(draw(st.integers(1, 4))):
        group = draw(st.sampled_from([None, 0, 1])) if pruning else None
        kinds = ratios if group is not None else (None,)
        options = tuple(
            Option(f"f{number}", draw(amounts) / 8, draw(amounts), draw(amounts) / 4, prune)
            for prune in kinds
            for number in range(draw(st.integers(1, 3)))
        )
        units.append(Unit(f"u{index}", options, group))
    return units


def every_plan(units):
    """All combinations in which the units of a group agree."""
    for options in itertools.product(*(unit.options for unit in units)):
        ratios = {}
        if all(
            unit.group is None or ratios.setdefault(unit.group, option.prune) == option.prune
            for unit, option in zip(units, options, strict=True)
        ):
            yield options


def total(options, name):
    return sum(getattr(option, name) for option in options)


@settings(max_examples=150, deadline=None)
@given(st.booleans().flatmap(unit_lists), st.none() | st.integers(0, 120), st.none() | st.integers(0, 120))
def test_the_plan_is_the_best_of_all_plans(units, max_bytes, quarters):
    max_latency_ms = None if quarters is None else quarters / 4
    fitting = [
        options
        for options in every_plan(units)
        if (max_bytes is None or total(options, "size_bytes") <= max_bytes)
        and (max_latency_ms is None or total(options, "latency_ms") <= max_latency_ms)
    ]
    if not fitting:
        with pytest.raises(InputError, match="no plan meets the budgets"):
            allocate(units, max_bytes, max_latency_ms)
        return
    plan = allocate(units, max_bytes, max_latency_ms)
    assert [name for name, _ in plan.choices] == [unit.name for unit in units]
    assert tuple(option for _, option in plan.choices) in fitting
    assert plan.damage == pytest.approx(min(total(options, "damage") for options in fitting), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(unit_lists(), st.integers(1, 6))
def test_the_frontier_is_one(units, points):
    plans = frontier(units, points)
    assert 1 <= len(plans) <= points
    assert plans[0].size_bytes == min(total(options, "size_bytes") for options in every_plan(units))
    for small, large in itertools.pairwise(plans):
        assert small.size_bytes < large.size_bytes
        assert small.damage > large.damage
    for plan in plans:
        least = min(total(o, "damage") for o in every_plan(units) if total(o, "size_bytes") <= plan.size_bytes)
        assert plan.damage == pytest.approx(least, abs=1e-9)


def test_damages_of_very_different_magnitudes_are_told_apart():
    units = [
        Unit("loud", (Option("a", 1.0, 1), Option("b", 2.0, 1))),
        Unit("quiet", (Option("a", 3e-9, 1), Option("b", 1e-9, 1))),
    ]
    assert allocate(units).formats == {"loud": "a", "quiet": "b"}


LADDER = [Unit(f"u{i}", (Option("int8", 0.1, 80 + i, 1.0), Option("int4", 1.0, 40, 3.0))) for i in range(3)]


@pytest.mark.parametrize(
    ("max_bytes", "max_latency_ms", "words"),
    [
        (100, None, ["the size budget of 100 bytes can't", "smallest plan has 120 bytes"]),
        (None, 2.0, ["the latency budget of 2 ms can't", "fastest takes 3 ms"]),
        (100, 2.0, ["size budget of 100 bytes and the latency budget"]),
        (130, 3.5, ["two budgets together", "fastest of at most 130 bytes takes 9 ms"]),
    ],
)
def test_a_budget_that_no_plan_meets_says_what_binds(max_bytes, max_latency_ms, words):
    with pytest.raises(InputError) as caught:
        allocate(LADDER, max_bytes, max_latency_ms)
    for word in words:
        assert word in str(caught.value)


def test_an_int4_that_is_slow_is_not_taken_for_fast():
    assert set(allocate(LADDER, max_latency_ms=4.0).formats.values()) == {"int8"}
    assert set(smallest(LADDER).formats.values()) == {"int4"}


def test_a_latency_budget_without_latencies_names_the_layer():
    with pytest.raises(InputError, match=r"no latency is known for layer\.3 as int8"):
        allocate([Unit("layer.3", (Option("int8", 0.0, 1),))], max_latency_ms=1.0)


@pytest.mark.parametrize("options", [{"damage": float("nan")}, {"damage": -1.0}, {"size_bytes": -1}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError, match="expected a finite amount"):
        Option(**{"format": "int8", "damage": 0.0, "size_bytes": 1, **options})


def test_a_group_without_a_common_ratio_is_refused():
    units = [
        Unit("a", (Option("int8", 0.0, 1, prune=0.5),), group=0),
        Unit("b", (Option("int8", 0.0, 1, prune=0.25),), group=0),
    ]
    with pytest.raises(InputError, match="no pruning ratio in common"):
        allocate(units)


@settings(max_examples=50, deadline=None)
@given(unit_lists(), st.integers(0, 5))
def test_baselines_meet_the_budget_and_are_no_better(units, seed):
    budget = smallest(units).size_bytes + 10
    best = allocate(units, budget)
    for plan in (bits_only(units, budget), random_plan(units, seed, budget)):
        assert plan.size_bytes <= budget
        assert plan.damage >= best.damage - 1e-9
    assert random_plan(units, seed) == random_plan(units, seed)


def test_bits_only_shrinks_the_largest_layers_first():
    units = [Unit(name, (Option("int8", 0, 8 * n), Option("int4", 0, 4 * n))) for name, n in (("s", 1), ("l", 9))]
    assert bits_only(units, 50).formats == {"s": "int8", "l": "int4"}
    with pytest.raises(InputError, match="smallest possible is 40 bytes"):
        bits_only(units, 39)


def test_what_the_solver_prints_does_not_reach_standard_output(capfd, monkeypatch):
    import os

    from edgeformer.allocation import knapsack as module

    solve = module.milp

    def talking(*arguments, **options):
        os.write(1, b"tmpSolver.run();")
        return solve(*arguments, **options)

    monkeypatch.setattr(module, "milp", talking)
    allocate(LADDER)
    os.write(1, b"after")
    captured = capfd.readouterr()
    assert captured.out == "after"
    assert "tmpSolver" in captured.err
