"""Allocation that knows how layers damage together: d(x) = Σ d_i x_i + 2 Σ_{i<j} Q_ij x_i x_j over chosen pairs.

The second term comes from the profile (``Profile.interactions``), where it costs nothing to measure. Its minimum over
plans is sought by Frank and Wolfe's method (1956): the damage's gradient at the mean of the plans so far gives additive
damages, for which ``allocate`` finds the best plan exactly; then by exchanging options of one or two units while that
helps. The best plan seen by d stays, so it is never worse than the additive one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..sensitivity.profile import Profile
from .knapsack import Plan, Unit, allocate

_ROUNDS = 12
_MAX_EXCHANGES = 200
Float = NDArray[np.float64]


def allocate_jointly(
    units: Sequence[Unit], profile: Profile, max_bytes: int | None = None, max_latency_ms: float | None = None
) -> Plan:
    """A plan within the budgets with little ``joint_damage``; raises what ``allocate`` raises."""
    plan = best = allocate(units, max_bytes, max_latency_ms)
    if not profile.interactions:
        return best
    mean: dict[tuple[str, str], float] = {}
    for number in range(1, _ROUNDS + 1):
        for pair in {*mean, *plan.formats.items()}:
            mean[pair] = mean.get(pair, 0.0) + ((plan.formats.get(pair[0]) == pair[1]) - mean.get(pair, 0.0)) / number
        plan = _with_damages_of(allocate(_linearized(units, profile, mean), max_bytes, max_latency_ms), units)
        if joint_damage(plan, profile) < joint_damage(best, profile):
            best = plan
    return _Exchange(units, profile, best, max_bytes, max_latency_ms).best()


def joint_damage(plan: Plan, profile: Profile) -> float:
    """d of a plan, with the damages of its own options; never below 0."""
    return max(plan.damage + profile.common_damage(plan.formats), 0.0)


def _linearized(units: Sequence[Unit], profile: Profile, shares: Mapping[tuple[str, str], float]) -> list[Unit]:
    """The units with the gradient of d at fractional choices as damages, moved so that none is negative."""
    common = profile.common_gradient(shares)
    made = []
    for unit in units:
        damages = [o.damage + common.get((unit.name, o.format or ""), 0.0) for o in unit.options]
        lowest = min(0.0, *damages)
        options = tuple(replace(o, damage=d - lowest) for o, d in zip(unit.options, damages, strict=True))
        made.append(replace(unit, options=options))
    return made


def _with_damages_of(plan: Plan, units: Sequence[Unit]) -> Plan:
    """The same choices with the units' own damages."""
    options = {(unit.name, o.format, o.prune): o for unit in units for o in unit.options}
    return Plan(tuple((name, options[name, o.format, o.prune]) for name, o in plan.choices))


class _Exchange:
    """Options of one or two units exchanged while d falls and the budgets hold. Units of a group are left alone."""

    def __init__(
        self, units: Sequence[Unit], profile: Profile, plan: Plan, max_bytes: int | None, max_latency_ms: float | None
    ) -> None:
        self.entries = [(unit.name, option) for unit in units if unit.group is None for option in unit.options]
        self.plan, self.profile = plan, profile
        self.limits = (np.inf if max_bytes is None else max_bytes, np.inf if max_latency_ms is None else max_latency_ms)
        index = {pair: number for number, pair in enumerate(profile.pairs)}
        rows = [index.get((name, option.format or ""), -1) for name, option in self.entries]
        products = np.pad(profile.products, ((0, 1), (0, 1)))  # the last stands for what has no interactions
        self.products: Float = products[np.ix_(rows, rows)]
        self.damage: Float = np.array([option.damage for _, option in self.entries])
        names = [name for name, _ in self.entries]
        self.same = np.array([[a == b for b in names] for a in names])

    def best(self) -> Plan:
        """The plan that no single or double exchange makes better."""
        for _ in range(_MAX_EXCHANGES):
            move = self._move()
            if not move:
                break
            changed = {self.entries[i][0]: self.entries[i][1] for i in move}
            self.plan = Plan(tuple((name, changed.get(name, option)) for name, option in self.plan.choices))
        return self.plan

    def _move(self) -> list[int]:
        """The entries to take, of the exchange that helps most; [] when none does."""
        chosen = dict(self.plan.choices)
        now = [next(j for j, (n, o) in enumerate(self.entries) if n == name and o == chosen[name])
               for name, _ in self.entries]  # fmt: skip
        x = np.zeros(len(self.entries))
        x[sorted(set(now))] = 1
        gain = 2 * (self.products @ x)
        # d(x + e_i − e_now(i)) − d(x), and what two such moves have in common
        one = self.damage - self.damage[now] + gain - gain[now]
        both = self.products - self.products[:, now] - self.products[now] + self.products[np.ix_(now, now)]
        two = one[:, None] + one[None, :] + 2 * both
        two = np.where(self.same, np.inf, two)
        np.fill_diagonal(two, one)
        for limit, total, values in zip(self.limits, self._totals(), self._costs(), strict=True):
            if np.isfinite(limit):
                extra = values - values[now]
                cost = extra[:, None] + extra[None, :]
                np.fill_diagonal(cost, extra)
                two = np.where(total + cost > limit + 1e-9, np.inf, two)
        first, second = np.unravel_index(int(np.argmin(two)), two.shape)
        scale = float(self.damage[sorted(set(now))].sum())
        return [] if two[first, second] >= -1e-9 * scale else sorted({int(first), int(second)})

    def _totals(self) -> tuple[float, float]:
        return float(self.plan.size_bytes), self.plan.latency_ms or 0.0

    def _costs(self) -> tuple[Float, Float]:
        sizes = np.array([option.size_bytes for _, option in self.entries], float)
        return sizes, np.array([option.latency_ms or 0.0 for _, option in self.entries])
