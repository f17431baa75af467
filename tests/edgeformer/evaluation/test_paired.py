"""Intervals against references written another way, and their exact coverage."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from edgeformer.evaluation.paired import (
    Z_95,
    PairedComparison,
    claim,
    claim_of_facts,
    compare_paired,
    mcnemar,
    mean_interval,
    paired_drop_interval,
    paired_facts,
    tango_interval,
    wilson_interval,
)


def scores(lost, gained, count):
    """Before and after with these discordant pairs; the rest right in both."""
    both = count - lost - gained
    return [1.0] * lost + [0.0] * gained + [1.0] * both, [0.0] * lost + [1.0] * gained + [1.0] * both


def tango_reference(lost, gained, count):
    """The interval by maximising the likelihood numerically at each difference, without Tango's closed form."""

    def likelihood(q, difference):
        rest = 1 - 2 * q - difference
        terms = ((lost, q + difference), (gained, q), (count - lost - gained, rest))
        return sum(n * math.log(max(p, 1e-300)) for n, p in terms if n)

    def statistic(difference):
        low, high = max(0.0, -difference), (1 - difference) / 2
        best = optimize.minimize_scalar(
            lambda q: -likelihood(q, difference), bounds=(low, high), method="bounded", options={"xatol": 1e-13}
        ).x
        best = max((best, low, high), key=lambda q: likelihood(q, difference))
        variance = count * (2 * best + difference - difference**2)
        return (lost - gained - count * difference) / math.sqrt(max(variance, 1e-12))

    estimate = (lost - gained) / count
    bounds = []
    for end, sign in ((-1 + 1e-9, 1), (1 - 1e-9, -1)):
        bounds.append(optimize.brentq(lambda d, sign=sign: statistic(d) - sign * Z_95, estimate, end, xtol=1e-12))
    return bounds


@pytest.mark.parametrize(("lost", "gained", "count"), [(12, 2, 50), (1, 0, 30), (0, 5, 20), (9, 9, 18), (40, 33, 1000)])
def test_tango_against_a_numerical_likelihood(lost, gained, count):
    assert tango_interval(lost, gained, count) == pytest.approx(tango_reference(lost, gained, count), abs=2e-5)


def test_without_discordant_pairs_tango_is_not_certain():
    """With b = c = 0 the bound has a closed form, z²/(n + z²): as for the score test of one share."""
    bound = Z_95**2 / (1000 + Z_95**2)
    assert tango_interval(0, 0, 1000) == pytest.approx((-bound, bound), abs=1e-12)
    assert tango_interval(0, 0, 0) == (-1.0, 1.0)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 200))
def test_tango_holds_its_estimate_and_mirrors(lost, gained, rest):
    count = lost + gained + rest
    low, high = tango_interval(lost, gained, count)
    assert -1 <= low <= (lost - gained) / count <= high <= 1
    assert tango_interval(gained, lost, count) == pytest.approx((-high, -low), abs=1e-9)


def coverage(interval, count, p_lost, p_gained):
    """Exact probability that ``interval`` holds the true difference, by summing over all outcomes."""
    total = 0.0
    for lost in range(count + 1):
        for gained in range(count + 1 - lost):
            low, high = interval(lost, gained, count)
            if low - 1e-12 <= p_lost - p_gained <= high + 1e-12:
                chance = stats.multinomial.pmf([lost, gained, count - lost - gained], count,
                                               [p_lost, p_gained, 1 - p_lost - p_gained])  # fmt: skip
                total += float(chance)
    return total


def wald(lost, gained, count):
    mean = (lost - gained) / count
    spread = Z_95 * math.sqrt(((lost + gained) / count - mean**2) / (count - 1))
    return mean - spread, mean + spread


@pytest.mark.parametrize(("p_lost", "p_gained"), [(0.05, 0.02), (0.03, 0.03), (0.1, 0.0), (0.25, 0.15)])
def test_exact_coverage_is_closer_to_95_than_the_normal_approximation(p_lost, p_gained):
    ours = coverage(tango_interval, 40, p_lost, p_gained)
    assert 0.925 <= ours <= 0.995
    assert coverage(wald, 40, p_lost, p_gained) < ours


def test_both_methods_meet_where_samples_are_many():
    assert tango_interval(300, 250, 5000) == pytest.approx(wald(300, 250, 5000), abs=2e-4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_mcnemar_against_the_binomial_sum(pairs):
    before, after = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    found = mcnemar(before, after)
    assert found.lost == sum(a and not b for a, b in pairs)
    assert found.gained == sum(b and not a for a, b in pairs)
    n, k = found.lost + found.gained, min(found.lost, found.gained)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_of_a_textbook_table():
    """Agresti, Categorical Data Analysis (2002), sec. 10.1: 150 and 86 switched opinions, z² = 17.36."""
    found = mcnemar(*scores(150, 86, 1600))
    score = (150 - 86) ** 2 / (150 + 86)
    assert score == pytest.approx(17.36, abs=0.01)
    assert found.p_value == pytest.approx(stats.chi2.sf(score, 1), rel=0.25)
    assert tango_interval(150, 86, 1600) == pytest.approx((0.0213, 0.0589), abs=5e-4)


def test_mcnemar_refuses_other_scores():
    with pytest.raises(ValueError, match="0 and 1"):
        mcnemar([0.5, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="argument 2"):
        mcnemar([1.0], [1.0, 0.0])


def test_scores_between_use_the_normal_approximation():
    random = np.random.default_rng(0)
    before, after = random.random(200), random.random(200)
    found = compare_paired(list(before), list(after))
    spread = stats.norm.ppf(0.975) * stats.sem(before - after)
    mean = float((before - after).mean())
    assert found.drop_interval_95 == pytest.approx((mean - spread, mean + spread))
    assert found.mcnemar is None
    assert found.method == "normal approximation"
    assert paired_drop_interval([0.5], [0.2]) == (-1.0, 1.0)


def test_what_cannot_be_paired_is_none_or_refused():
    assert compare_paired([], []) is None
    assert compare_paired([1.0], [1.0, 0.0]) is None
    with pytest.raises(ValueError, match="same samples"):
        paired_drop_interval([1.0], [1.0, 0.0])


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_s_bounds_are_the_roots_of_its_equation(successes, more):
    count = successes + more
    low, high = wilson_interval(successes, count)
    assert low <= successes / count <= high
    for bound in (low, high):
        assert (successes / count - bound) ** 2 == pytest.approx(Z_95**2 * bound * (1 - bound) / count, abs=1e-12)


def test_mean_interval():
    assert mean_interval([1.0, 0.0, 1.0]) == wilson_interval(2, 3)
    assert mean_interval([0.5]) is None
    low, high = mean_interval([0.2, 0.4, 0.9])
    assert low < 0.5 < high


def made(lost, gained, count=1000):
    comparison = compare_paired(*scores(lost, gained, count))
    assert isinstance(comparison, PairedComparison)
    return comparison


@pytest.mark.parametrize(
    ("lost", "gained", "expected"),
    [
        (14, 10, ["accuracy falls by 0.40 points", "interval −0.", "is excluded, no difference is resolved"]),
        (60, 10, ["falls by 5.00 points", "a fall is shown, one of more than"]),
        (10, 60, ["rises by 5.00 points (95 % interval 3.", "a rise is shown"]),
        (0, 0, ["accuracy is unchanged", "−0.38 to 0.38 points", "no difference is resolved"]),
    ],
)
def test_claims(lost, gained, expected):
    text = claim("accuracy", made(lost, gained))
    assert all(part in text for part in expected), text


@pytest.mark.parametrize(
    ("lost", "gained", "allowed", "expected"),
    [
        (3, 3, 0.01, "the allowed 1.00 points hold for the whole interval"),
        (14, 10, 0.01, "hold as measured, but 1000 samples don't exclude a larger fall"),
        (26, 10, 0.01, "are exceeded as measured, though 1000 samples don't exclude a smaller fall"),
        (90, 10, 0.01, "are exceeded by the whole interval"),
    ],
)
def test_claims_against_what_is_allowed(lost, gained, allowed, expected):
    assert expected in claim("accuracy", made(lost, gained), allowed)


def test_facts_survive_json_and_say_why_nothing_is_paired():
    facts = json.loads(json.dumps(paired_facts(*scores(14, 10, 1000))))
    assert facts["mcnemar"]["lost"] == 14
    assert claim_of_facts("accuracy", facts, 0.01) == claim("accuracy", made(14, 10), 0.01)
    for before, after, reason in (([], [], "no mean of scores"), ([1.0], [1.0, 0.0], "different numbers")):
        facts = paired_facts(before, after)
        assert reason in facts["reason"]
        assert facts["drop_interval_95"] is None
        assert claim_of_facts("accuracy", facts) is None
