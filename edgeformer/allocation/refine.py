"""Refinement: the plan's true damage, and better plans where the sum of single damages was a bad prediction.

Layers changed together damage more or less than the sum of what each does alone. Where truth and prediction differ by
more than a factor, the damages of each role are scaled by what the plans measured so far say (non-negative least
squares of true on predicted damage, Lawson and Hanson 1974), and the allocation is solved again; when that gives
nothing new, the layers that hurt most are made better one by one, at the others' cost. The best plan by true damage
stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from ..errors import InputError
from ..sensitivity.profile import Profile
from .joint import allocate_jointly, joint_damage
from .knapsack import Plan, Unit, allocate

# how strongly a role's scale is held to the common one; with a handful of plans the roles can't all be told apart
_RIDGE = 0.3


@dataclass(frozen=True)
class Tried:
    """A plan that was truly measured. ``predicted`` is what the profile says."""

    formats: Mapping[str, str]
    predicted: float
    true: float
    size_bytes: int
    latency_ms: float | None


@dataclass(frozen=True)
class Refined:
    """The best measured plan, and every plan in the order it was measured."""

    plan: Plan
    predicted: float
    true: float
    tried: tuple[Tried, ...]


def refine(
    units: Sequence[Unit],
    true_damage: Callable[[Mapping[str, str]], float],
    *,
    max_bytes: int | None = None,
    max_latency_ms: float | None = None,
    roles: Mapping[str, str] | None = None,
    profile: Profile | None = None,
    factor: float = 1.25,
    evaluations: int = 12,
) -> Refined:
    """Allocate, measure, and search on while prediction and truth differ by more than ``factor``.

    Args:
        units: with predicted damages.
        true_damage: measures formats (unit → format) all at once.
        max_bytes: budget of the units' bytes, as for ``allocate``.
        max_latency_ms: budget of the units' latency.
        profile: predicts by what layers have in common too, see ``joint``; without it damages are summed.
        roles: unit → role; units of a role are scaled alike. By default all are.
        factor: above 1.
        evaluations: true measurements at most.

    Raises:
        InputError: no plan meets the budgets, or a setting out of range.
    """
    if factor <= 1 or evaluations < 1:
        raise InputError(f"refine: factor {factor}, {evaluations} evaluations: expected more than 1, and at least 1")
    search = _Search(units, true_damage, max_bytes, max_latency_ms, roles or {}, profile)
    if profile is None:
        search.measure(allocate(units, max_bytes, max_latency_ms))
    else:
        search.measure(allocate_jointly(units, profile, max_bytes, max_latency_ms))
    first = search.tried[0]
    if not _differ(first.predicted, first.true, factor):
        return search.result()
    for plan in search.proposals():
        if len(search.tried) >= evaluations:
            break
        search.measure(plan)
    return search.result()


def _differ(predicted: float, true: float, factor: float) -> bool:
    low, high = sorted((predicted, true))
    return high > factor * low


class _Search:
    """Plans measured so far, and where to look next."""

    def __init__(
        self,
        units: Sequence[Unit],
        true_damage: Callable[[Mapping[str, str]], float],
        max_bytes: int | None,
        max_latency_ms: float | None,
        roles: Mapping[str, str],
        profile: Profile | None,
    ) -> None:
        self.units = tuple(units)
        self.profile = profile
        self.true_damage = true_damage
        self.budgets = (max_bytes, max_latency_ms)
        self.role = {unit.name: roles.get(unit.name, "") for unit in units}
        self.names = sorted(set(self.role.values()))
        self.damages = {(unit.name, option): option.damage for unit in units for option in unit.options}
        self.tried: list[Tried] = []
        self.plans: list[Plan] = []

    def measure(self, plan: Plan) -> None:
        """Note the plan's true damage."""
        true = self.true_damage(plan.formats)
        predicted = plan.damage if self.profile is None else joint_damage(plan, self.profile)
        self.tried.append(Tried(plan.formats, predicted, true, plan.size_bytes, plan.latency_ms))
        self.plans.append(plan)

    def result(self) -> Refined:
        """The best so far; the earlier of two equals."""
        best = min(range(len(self.tried)), key=lambda index: self.tried[index].true)
        return Refined(self.plans[best], self.tried[best].predicted, self.tried[best].true, tuple(self.tried))

    def proposals(self) -> Iterator[Plan]:
        """Plans that weren't measured yet, until nothing new is found."""
        new: Plan | None = None
        while True:
            new = self._unseen(self._scaled())
            if new is None:
                new = next((plan for plan in self._without_the_worst() if plan is not None), None)
            if new is None:
                return
            yield new

    def _without_the_worst(self) -> Iterator[Plan | None]:
        """The best plan's most damaging units, one after the other, made less damaging."""
        scaled = self._scaled()
        scale = self._scales()
        best = dict(self.result().plan.choices)
        worst = sorted(best, key=lambda name: -best[name].damage * scale[self.role[name]])
        for name in worst:
            better = tuple(
                option for option in _unit(scaled, name).options
                if option.damage < best[name].damage * scale[self.role[name]]
            )  # fmt: skip
            if better:
                yield self._unseen([replace(u, options=better) if u.name == name else u for u in scaled])

    def _unseen(self, units: Sequence[Unit]) -> Plan | None:
        """The best plan for ``units`` with its damages unscaled; None when it was measured or doesn't exist."""
        try:
            scaled = allocate(units, *self.budgets)
        except InputError:  # a unit that may not keep its option can leave nothing within the budget
            return None
        by_format = {(unit.name, o.format, o.prune): o for unit in self.units for o in unit.options}
        plan = Plan(tuple((name, by_format[name, o.format, o.prune]) for name, o in scaled.choices))
        return None if any(plan == seen for seen in self.plans) else plan

    def _scaled(self) -> list[Unit]:
        scale = self._scales()
        return [
            replace(
                unit,
                options=tuple(replace(o, damage=o.damage * scale[self.role[unit.name]]) for o in unit.options),
            )
            for unit in self.units
        ]

    def _scales(self) -> dict[str, float]:
        """What each role's damages are to be multiplied by, from the plans measured so far."""
        matrix = np.zeros((len(self.plans), len(self.names)))
        for row, plan in enumerate(self.plans):
            for name, option in plan.choices:
                matrix[row, self.names.index(self.role[name])] += option.damage
        true = np.array([tried.true for tried in self.tried])
        common = float(true.sum() / max(matrix.sum(), 1e-30)) or 1.0
        weight = 1 / np.maximum(true, 1e-30)  # relative errors
        ridge = _RIDGE * np.eye(len(self.names)) / max(common, 1e-30)
        found, _ = nnls(
            np.vstack([matrix * weight[:, None], ridge]),
            np.concatenate([true * weight, _RIDGE * np.ones(len(self.names))]),
        )
        return {name: max(float(value), 1e-6 * common) for name, value in zip(self.names, found, strict=True)}


def _unit(units: Sequence[Unit], name: str) -> Unit:
    return next(unit for unit in units if unit.name == name)
