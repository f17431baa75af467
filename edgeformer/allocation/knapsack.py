"""Allocation: one option a unit (a layer's format, a block's pruning) with the least damage within budgets.

With additive damages and costs this is the multiple-choice knapsack problem, solved exactly as an integer program
(Sinha and Zoltners 1979; for quantization HAWQ-V3, Yao et al. 2021, section 3.4):

    min Σ d[u,o] x[u,o]   with   Σ_o x[u,o] = 1 for each unit u,   Σ b[u,o] x[u,o] ≤ max_bytes,
                                 Σ t[u,o] x[u,o] ≤ max_latency,    x ∈ {0, 1}

Units of one group agree on their pruning ratio: Σ_{o with ratio r} x[u,o] = y[group,r].

Legend: u unit, o option, d damage, b bytes, t milliseconds.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from ..errors import InputError

Float = NDArray[np.float64]
# HiGHS takes differences in the objective under 1e-6 for nothing: damages are scaled so that these don't matter.
_LARGEST_OBJECTIVE = 1e6
_NANOSECONDS_PER_MS = 1e6


@dataclass(frozen=True)
class Option:
    """What a unit may become. ``latency_ms`` is None where no latency is asked for."""

    format: str | None  # None for a unit that only stands for pruning
    damage: float
    size_bytes: int
    latency_ms: float | None = None
    prune: float | None = None  # ratio of the block that holds the unit

    def __post_init__(self) -> None:
        for name in ("damage", "size_bytes", "latency_ms"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"option {self.format}: {name} = {value}: expected a finite amount of 0 or more")


@dataclass(frozen=True)
class Unit:
    """A layer, or a block's pruning, and what it may become. Units with one ``group`` are pruned by one ratio."""

    name: str
    options: tuple[Option, ...]
    group: int | None = None

    def __post_init__(self) -> None:
        if not self.options:
            raise InputError(f"allocate: {self.name} has no option")


@dataclass(frozen=True)
class Plan:
    """One option a unit, in the units' order. Costs are sums over the units and nothing else."""

    choices: tuple[tuple[str, Option], ...]

    @property
    def damage(self) -> float:
        """Predicted damage."""
        return math.fsum(option.damage for _, option in self.choices)

    @property
    def size_bytes(self) -> int:
        """Bytes of the units' weights."""
        return sum(option.size_bytes for _, option in self.choices)

    @property
    def latency_ms(self) -> float | None:
        """Predicted latency of the units; None where an option has none."""
        latencies = [option.latency_ms for _, option in self.choices]
        known = [value for value in latencies if value is not None]
        return math.fsum(known) if len(known) == len(latencies) else None

    @property
    def formats(self) -> dict[str, str]:
        """Unit → format, without the units that only stand for pruning."""
        return {name: option.format for name, option in self.choices if option.format is not None}

    @property
    def pruning(self) -> dict[str, float]:
        """Unit → ratio, for the units that are pruned."""
        return {name: option.prune for name, option in self.choices if option.prune}


Solver = Callable[[Sequence[Unit], int | None, float | None], Plan]


def allocate(units: Sequence[Unit], max_bytes: int | None = None, max_latency_ms: float | None = None) -> Plan:
    """The plan of least damage within the budgets.

    Raises:
        InputError: no plan meets the budgets. The message holds the smallest possible bytes and milliseconds and says
            which budget binds; or a latency is budgeted that an option doesn't have.
    """
    problem = _Problem(units, max_latency_ms is not None)
    plan = problem.least(problem.damage, max_bytes, max_latency_ms)
    if plan is None:
        raise InputError(_why_not(problem, max_bytes, max_latency_ms))
    return plan


def smallest(units: Sequence[Unit], max_latency_ms: float | None = None) -> Plan:
    """Of the plans with the fewest bytes the one with the least damage; raises as ``allocate`` does."""
    problem = _Problem(units, max_latency_ms is not None)
    plan = problem.least(problem.size, None, max_latency_ms)
    if plan is None:
        raise InputError(_why_not(problem, None, max_latency_ms))
    return allocate(units, plan.size_bytes, max_latency_ms)


def frontier(
    units: Sequence[Unit],
    points: int = 8,
    max_bytes: int | None = None,
    max_latency_ms: float | None = None,
    *,
    solve: Solver | None = None,
    damage: Callable[[Plan], float] = lambda plan: plan.damage,
) -> tuple[Plan, ...]:
    """Plans from the smallest to the least damaging, none of which is both larger and more damaging than another.

    Byte budgets are spread evenly between the two ends, so there are at most ``points`` plans. ``solve`` finds the plan
    for a budget, ``damage`` is what it is judged by; by default damages add up.
    """
    if points < 1:
        raise InputError(f"frontier: {points} points: expected at least 1")
    solve = solve or allocate
    first, last = smallest(units, max_latency_ms), allocate(units, max_bytes, max_latency_ms)
    plans = [first]
    for budget in np.linspace(first.size_bytes, last.size_bytes, max(points, 2))[1:points]:
        plan = solve(units, int(budget), max_latency_ms)
        if damage(plan) < damage(plans[-1]):
            plans.append(plan)
    return tuple(plans)


@contextmanager
def _solver_prints_to_stderr() -> Iterator[None]:
    """HiGHS (in scipy 1.17) prints a line of its own debugging now and then, into what may be a command's JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


class _Problem:
    """The units as vectors and constraint rows."""

    def __init__(self, units: Sequence[Unit], needs_latency: bool) -> None:
        self.units = tuple(units)
        self.entries = [(index, option) for index, unit in enumerate(units) for option in unit.options]
        self.damage: Float = np.array([option.damage for _, option in self.entries])
        self.size: Float = np.array([option.size_bytes for _, option in self.entries], float)
        self.latency = self._latencies() if needs_latency else None
        self.groups = sorted({(u.group, o.prune or 0.0) for u in units if u.group is not None for o in u.options})
        self.equalities, self.right = self._equalities()

    def _latencies(self) -> Float:
        for index, option in self.entries:
            if option.latency_ms is None and option.format is not None:
                raise InputError(
                    f"allocate: a latency budget was given, but no latency is known for {self.units[index].name} as "
                    f"{option.format}: measure it into the latency table"
                )
        return np.array([option.latency_ms or 0.0 for _, option in self.entries])

    def _equalities(self) -> tuple[csr_matrix, Float]:
        rows: list[dict[int, float]] = [{} for _ in self.units]
        right = [1.0] * len(self.units)
        for column, (index, _) in enumerate(self.entries):
            rows[index][column] = 1.0
        for index, unit in enumerate(self.units):
            for number, (group, ratio) in enumerate(self.groups):
                if unit.group != group:
                    continue
                matching = [
                    column for column, (i, o) in enumerate(self.entries) if i == index and (o.prune or 0.0) == ratio
                ]
                rows.append({**dict.fromkeys(matching, 1.0), len(self.entries) + number: -1.0})
                right.append(0.0)
        cells = [(r, column, value) for r, row in enumerate(rows) for column, value in row.items()]
        matrix = csr_matrix(
            ([v for _, _, v in cells], ([r for r, _, _ in cells], [c for _, c, _ in cells])),
            shape=(len(rows), self.width),
        )
        return matrix, np.array(right)

    @property
    def width(self) -> int:
        return len(self.entries) + len(self.groups)

    def least(self, objective: Float, max_bytes: float | None, max_latency_ms: float | None) -> Plan | None:
        """The plan with the least sum of ``objective``; None if none fits."""
        budgets: list[tuple[Float, float]] = []
        if max_bytes is not None:
            budgets.append((self.size, float(max_bytes)))
        if max_latency_ms is not None and self.latency is not None:
            # whole nanoseconds, so that sums are exact
            nanoseconds = np.ceil(self.latency * _NANOSECONDS_PER_MS - 1e-6)
            budgets.append((nanoseconds, math.floor(max_latency_ms * _NANOSECONDS_PER_MS + 1e-6)))
        excluded: list[Float] = []
        while True:
            x = self._solve(objective, budgets, excluded)
            if x is None or all(float(costs @ x) <= limit for costs, limit in budgets):
                return None if x is None else self._plan(x)
            excluded.append(x)  # over a budget by less than the solver's tolerance

    def _solve(
        self, objective: Float, budgets: Sequence[tuple[Float, float]], excluded: Sequence[Float]
    ) -> Float | None:
        """0 or 1 for each entry. Budget rows are scaled to entries of at most 1, where HiGHS's tolerances fit."""
        padding = np.zeros(len(self.groups))
        constraints = [LinearConstraint(self.equalities, self.right, self.right)]
        for costs, limit in budgets:
            largest = float(costs.max(initial=0)) or 1.0
            constraints.append(LinearConstraint(np.append(costs / largest, padding), -np.inf, limit / largest))
        constraints += [LinearConstraint(np.append(x, padding), -np.inf, x.sum() - 1) for x in excluded]
        largest = float(np.abs(objective).max(initial=0)) or 1.0
        with _solver_prints_to_stderr():
            result = milp(
                np.append(objective * (_LARGEST_OBJECTIVE / largest), padding),
                integrality=np.ones(self.width),
                bounds=Bounds(0, 1),
                constraints=constraints,
                options={"mip_rel_gap": 0.0},
            )
        return None if result.x is None else np.round(result.x[: len(self.entries)])

    def _plan(self, x: Float) -> Plan:
        chosen: dict[int, Option] = {}
        for column, (index, option) in enumerate(self.entries):
            if x[column] > 0.5:
                chosen[index] = option
        return Plan(tuple((unit.name, chosen[index]) for index, unit in enumerate(self.units)))


def _why_not(problem: _Problem, max_bytes: int | None, max_latency_ms: float | None) -> str:
    """The message of a refusal: what is possible, and which budget binds."""
    least_bytes = problem.least(problem.size, None, None)
    if least_bytes is None:
        return "allocate: the units of a group have no pruning ratio in common"
    possible = [f"the smallest plan has {least_bytes.size_bytes} bytes"]
    binding = []
    if max_bytes is not None and least_bytes.size_bytes > max_bytes:
        binding.append(f"the size budget of {max_bytes} bytes")
    if max_latency_ms is not None and problem.latency is not None:
        fastest = problem.least(problem.latency, None, None)
        fastest_ms = fastest.latency_ms if fastest is not None else None
        if fastest_ms is not None:
            possible.append(f"the fastest takes {fastest_ms:.4g} ms")
            if fastest_ms > max_latency_ms:
                binding.append(f"the latency budget of {max_latency_ms:g} ms")
        if not binding:
            both = problem.least(problem.latency, max_bytes, None)
            if both is not None and both.latency_ms is not None:
                possible.append(f"the fastest of at most {max_bytes} bytes takes {both.latency_ms:.4g} ms")
            binding.append("the two budgets together (each alone can be met)")
    return f"no plan meets the budgets: {' and '.join(binding)} can't be met; {', '.join(possible)}"
