"""Intervals and paired tests: what a number of samples allows to claim.

Paired counts of two models over the same samples, with the names used here:

                 after right   after wrong
    before right                 lost
    before wrong   gained

Samples are taken as independent. For a metric over tokens they are not (tokens share a text), so that its intervals are
too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Z_95 = 1.959963984540054  # standard normal quantile of 97.5 %
_BISECTIONS = 60


@dataclass(frozen=True)
class McNemar:
    """Exact test of whether ``lost`` and ``gained`` differ by more than chance."""

    lost: int
    gained: int
    p_value: float


@dataclass(frozen=True)
class PairedComparison:
    """A metric of two models over the same samples, as shares; ``mcnemar`` is None unless all scores are 0 or 1."""

    samples: int
    drop: float  # mean(before - after)
    drop_interval_95: tuple[float, float]
    method: str
    mcnemar: McNemar | None


def wilson_interval(successes: float, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson's score interval, 1927) of whole ``successes``; (0, 1) without samples."""
    from scipy.stats import binomtest

    if count == 0:
        return 0.0, 1.0
    interval = binomtest(round(successes), count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of a mean of scores in 0…1: Wilson's for zeros and ones, else normal; None below two values."""
    if _is_binary(values):
        return wilson_interval(sum(values), len(values))
    return None if len(values) < 2 else _normal_interval(values, Z_95)


def mcnemar(before: Sequence[float], after: Sequence[float]) -> McNemar:
    """McNemar's test (1947) in its exact form: two-sided binomial test of ``lost`` among lost + gained at 1/2.

    Args:
        before: 1.0 (right) or 0.0 (wrong) for each sample.
        after: the same for the other model, over the same samples in the same order.

    Raises:
        ValueError: lengths differ, or a score is neither 0 nor 1.
    """
    from scipy.stats import binomtest

    if not (_is_binary(before) and _is_binary(after)):
        raise ValueError("McNemar's test needs scores of 0 and 1")
    lost, gained = _discordant(before, after)
    discordant = lost + gained
    p_value = 1.0 if discordant == 0 else float(binomtest(lost, discordant, 0.5).pvalue)
    return McNemar(lost, gained, p_value)


def tango_interval(lost: int, gained: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Score interval of the difference of paired shares, (lost - gained) / count (Tango 1998, Stat. Med. 17:891).

    It keeps close to 95 % where few samples change, even none, where the normal approximation claims certainty.
    (-1, 1) without samples.
    """
    if count == 0:
        return -1.0, 1.0
    estimate = (lost - gained) / count

    def excess(difference: float) -> float:
        """Squared score statistic minus z², times its variance: 0 at the bounds, below 0 between them."""
        # larger root of 2n·q² + w·q - gained·d·(1 - d) = 0: the share "gained" that is likeliest under the difference
        w = -lost - gained + (2 * count - lost + gained) * difference
        root = math.sqrt(max(0.0, w * w + 8 * count * gained * difference * (1 - difference)))
        q = (root - w) / (4 * count)
        variance = count * (2 * q + difference * (1 - difference))
        return (lost - gained - count * difference) ** 2 - z * z * variance

    def bound(inside: float, outside: float) -> float:
        for _ in range(_BISECTIONS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if excess(middle) <= 0 else (inside, middle)
        return (inside + outside) / 2

    return bound(estimate, -1.0), bound(estimate, 1.0)


def paired_drop_interval(before: Sequence[float], after: Sequence[float], z: float = Z_95) -> tuple[float, float]:
    """95 % interval of mean(before - after) over the same samples.

    Tango's score interval where all scores are 0 or 1, else the normal approximation; (-1, 1) for a single score of
    the second kind.
    """
    if len(before) != len(after):
        raise ValueError(
            f"{len(before)} scores before and {len(after)} after: a paired interval needs the same samples"
        )
    if _is_binary(before) and _is_binary(after):
        return tango_interval(*_discordant(before, after), len(before), z)
    differences = [b - a for b, a in zip(before, after, strict=True)]
    return (-1.0, 1.0) if len(differences) < 2 else _normal_interval(differences, z)


def compare_paired(before: Sequence[float], after: Sequence[float]) -> PairedComparison | None:
    """Drop, its interval and McNemar's test; None where the two can't be paired (no scores, or other samples)."""
    if not before or len(before) != len(after):
        return None
    binary = _is_binary(before) and _is_binary(after)
    return PairedComparison(
        samples=len(before),
        drop=(sum(before) - sum(after)) / len(before),
        drop_interval_95=paired_drop_interval(before, after),
        method="Tango's score interval" if binary else "normal approximation",
        mcnemar=mcnemar(before, after) if binary else None,
    )


def paired_facts(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """The comparison as plain data for a report; what couldn't be computed is None, with a ``reason``."""
    found = compare_paired(before, after)
    facts: dict[str, Any] = {"metric_interval_95": mean_interval(after) if after else None}
    if found is not None:
        return {**facts, **asdict(found), "reason": None}
    why = "the two models judge different numbers of samples" if before and after else "the metric is no mean of scores"
    empty = dict.fromkeys(("samples", "drop", "drop_interval_95", "method", "mcnemar"))
    return {**facts, **empty, "reason": f"not paired: {why}"}


def claim_of_facts(metric_name: str, facts: Mapping[str, Any], allowed: float | None = None) -> str | None:
    """``claim`` from what ``paired_facts`` gave, also after a round trip through JSON; None where nothing is paired."""
    if facts.get("drop_interval_95") is None:
        return None
    low, high = facts["drop_interval_95"]
    test = None if facts["mcnemar"] is None else McNemar(**facts["mcnemar"])
    comparison = PairedComparison(facts["samples"], facts["drop"], (low, high), facts["method"], test)
    return claim(metric_name, comparison, allowed)


def claim(metric_name: str, comparison: PairedComparison, allowed: float | None = None) -> str:
    """One sentence: what the interval allows to say of the drop, and of the ``allowed`` one where a gate has it.

    ``allowed`` is a share, 0.01 is one point.
    """
    low, high = (100 * bound for bound in comparison.drop_interval_95)
    points = 100 * comparison.drop
    if round(points, 2) == 0:
        measured = f"{metric_name} is unchanged (95 % interval of the fall {_signed(low)} to {_signed(high)} points)"
    else:
        verb = "falls" if points > 0 else "rises"
        bounds = (low, high) if points > 0 else (-high, -low)
        spread = " to ".join(_signed(bound) for bound in bounds)
        measured = f"{metric_name} {verb} by {abs(points):.2f} points (95 % interval {spread})"
    if low > 0:
        resolved = f"a fall is shown, one of more than {high:.2f} points is excluded"
    elif high < 0:
        resolved = "a rise is shown"
    else:
        resolved = f"a fall of more than {high:.2f} points is excluded, no difference is resolved"
    return f"{measured}: {resolved}{_against(comparison, allowed)}"


def _against(comparison: PairedComparison, allowed: float | None) -> str:
    if allowed is None:
        return ""
    limit = f"the allowed {100 * allowed:.2f} points"
    low, high = comparison.drop_interval_95
    if high <= allowed:
        return f"; {limit} hold for the whole interval"
    if comparison.drop <= allowed:
        return f"; {limit} hold as measured, but {comparison.samples} samples don't exclude a larger fall"
    if low > allowed:
        return f"; {limit} are exceeded by the whole interval"
    return f"; {limit} are exceeded as measured, though {comparison.samples} samples don't exclude a smaller fall"


def _signed(points: float) -> str:
    text = f"{abs(points):.2f}"
    return f"−{text}" if points < 0 and text != "0.00" else text


def _is_binary(values: Sequence[float]) -> bool:
    return set(values) <= {0.0, 1.0}


def _discordant(before: Sequence[float], after: Sequence[float]) -> tuple[int, int]:
    """Samples that only ``before`` gets right, and those that only ``after`` does."""
    pairs = list(zip(before, after, strict=True))
    return sum(b > a for b, a in pairs), sum(b < a for b, a in pairs)


def _normal_interval(values: Sequence[float], z: float) -> tuple[float, float]:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    spread = z * math.sqrt(variance / len(values))
    return mean - spread, mean + spread
