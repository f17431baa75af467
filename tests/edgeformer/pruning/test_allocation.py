"""Which units go: against brute force, and the promises of counts and budgets."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeformer.errors import RecipeError
from edgeformer.pruning.allocation import Budget, allocate, keep_counts
from edgeformer.pruning.costs import FlopCosts, LatencyCosts, ParameterCosts
from edgeformer.pruning.units import BlockScores, BlockShape

SHAPE = BlockShape(hidden=32, heads=4, head_dim=8, channels=48, ups=1, bias=True)


def random_scores(seed, blocks, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return [
        BlockScores(
            torch.rand(shape.heads, generator=generator, dtype=torch.float64),
            torch.rand(shape.channels, generator=generator, dtype=torch.float64),
        )
        for _ in range(blocks)
    ]


def cost(costs, kept):
    return sum(costs.of(SHAPE, "heads", len(k.heads)) + costs.of(SHAPE, "channels", len(k.channels)) for k in kept)


WHOLE = {"parameters": ParameterCosts(), "flops": FlopCosts(128)}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 9999),
    heads=st.floats(0, 0.7),
    channels=st.floats(0, 0.66),  # in groups of 16, two thirds are all that can go
    round_to=st.sampled_from([1, 4, 8, 16]),
    allocation=st.sampled_from(["global", "per_layer"]),
)
def test_shares_are_met_as_closely_as_groups_allow(seed, heads, channels, round_to, allocation):
    kept = allocate([SHAPE] * 3, random_scores(seed, 3), Budget(heads, channels), allocation, round_to)
    pools = [kept] if allocation == "global" else [[item] for item in kept]
    for pool in pools:
        removed_heads = sum(4 - len(item.heads) for item in pool)
        removed_channels = sum(48 - len(item.channels) for item in pool)
        assert abs(removed_heads - heads * 4 * len(pool)) <= 0.5 + 1e-6
        assert abs(removed_channels - channels * 48 * len(pool)) <= round_to / 2 + 1e-6
    for item in kept:
        assert len(item.heads) >= 1
        assert len(item.channels) >= round_to
        assert len(item.channels) % round_to == 0
        assert list(item.heads) == sorted(set(item.heads))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 9999),
    amount=st.floats(0.01, 0.7),
    unit=st.sampled_from(["parameters", "flops"]),
    allocation=st.sampled_from(["global", "per_layer"]),
)
def test_amounts_are_met_and_hardly_exceeded(seed, amount, unit, allocation):
    costs = WHOLE[unit]
    kept = allocate([SHAPE] * 3, random_scores(seed, 3), Budget(amount=amount, costs=costs), allocation, 8)
    largest = max(costs.of(SHAPE, "heads", 1), costs.of(SHAPE, "channels", 8))
    pools = [kept] if allocation == "global" else [[item] for item in kept]
    for pool in pools:
        whole = len(pool) * (costs.of(SHAPE, "heads", 4) + costs.of(SHAPE, "channels", 48))
        removed = whole - cost(costs, pool)
        assert amount * whole - 1e-6 <= removed <= amount * whole + largest


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), heads=st.integers(1, 5))
def test_global_heads_lose_the_least_importance_of_all_choices(seed, heads):
    """Brute force over every choice of the same number of heads that leaves each block one."""
    shape = BlockShape(hidden=8, heads=3, head_dim=2, channels=8, ups=1, bias=True)
    scores = random_scores(seed, 3, shape)
    kept = allocate([shape] * 3, scores, Budget(heads=heads / 9), "global", 8)
    all_scores = torch.stack([item.heads for item in scores])
    best = min(
        float((all_scores * (1 - torch.tensor(choice).reshape(3, 3))).sum())
        for choice in product((0, 1), repeat=9)
        if sum(choice) == 9 - heads and min(torch.tensor(choice).reshape(3, 3).sum(dim=1)) > 0
    )
    removed = sum(
        float(item.heads.sum() - item.heads[list(k.heads)].sum()) for item, k in zip(scores, kept, strict=True)
    )
    assert removed == pytest.approx(best)


def test_a_width_that_is_no_multiple_is_rounded_first():
    shape = BlockShape(hidden=32, heads=4, head_dim=8, channels=52, ups=1, bias=True)
    scores = random_scores(1, 1, shape)
    kept = allocate([shape], scores, Budget(channels=0.1), "global", 8)[0]
    assert len(kept.channels) == 48
    gone = set(range(52)) - set(kept.channels)
    assert gone == set(torch.argsort(scores[0].channels)[:4].tolist())


def test_heads_stay_where_the_family_fixes_them():
    kept = allocate(
        [SHAPE] * 2, random_scores(1, 2), Budget(amount=0.3, costs=ParameterCosts()), "global", 8, heads_fixed=True
    )
    assert all(len(item.heads) == 4 for item in kept)


def test_latency_goes_where_it_is_bought():
    """Channels that cost no time stay, however unimportant."""
    costs = LatencyCosts({1: 1.0, 4: 4.0}, {8: 1.0, 48: 1.0})
    scores = [BlockScores(torch.ones(4, dtype=torch.float64), torch.full((48,), 1e-6, dtype=torch.float64))]
    kept = allocate([SHAPE], scores, Budget(amount=0.3, costs=costs), "global", 8)[0]
    assert (len(kept.heads), len(kept.channels)) == (2, 48)


def test_measured_times_never_fall_with_more_units():
    costs = LatencyCosts({1: 2.0, 2: 1.0, 4: 5.0}, {8: 1.0, 48: 1.0})
    times = [costs.of(SHAPE, "heads", count) for count in range(1, 5)]
    assert times == sorted(times)
    assert times[0] == 2.0
    assert times[2] == 3.5


@pytest.mark.parametrize("allocation", ["global", "per_layer"])
def test_more_than_can_go_is_refused(allocation):
    with pytest.raises(RecipeError, match=r"heads = 0.95 .*at most 0.75 can be removed"):
        allocate([SHAPE] * 2, random_scores(1, 2), Budget(heads=0.95), allocation, 8)
    with pytest.raises(RecipeError, match=r"amount = 0.95 .*layers = \[...\]"):
        allocate([SHAPE] * 2, random_scores(1, 2), Budget(amount=0.95, costs=ParameterCosts()), allocation, 8)


def test_counts_keep_the_most_important():
    scores = random_scores(5, 1)[0]
    kept = keep_counts(scores, {"heads": 2}, 0)
    assert set(kept.heads) == set(torch.topk(scores.heads, 2).indices.tolist())
    assert len(kept.channels) == 48
    with pytest.raises(RecipeError, match="block 3 has 4 heads, so 9"):
        keep_counts(scores, {"heads": 9}, 3)


def test_costs_are_those_of_torch():
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=32, num_attention_heads=4, intermediate_size=48, num_hidden_layers=1, vocab_size=9)
    layer = BertModel(config).encoder.layer[0]
    linears = [module for module in layer.modules() if isinstance(module, torch.nn.Linear)]
    # biases of the two linears that write to the residual stream are never removed
    expected = sum(p.numel() for module in linears for p in module.parameters()) - 2 * 32
    assert ParameterCosts().of(SHAPE, "heads", 4) + ParameterCosts().of(SHAPE, "channels", 48) == expected

    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        config._attn_implementation = "eager"
        layer(torch.randn(1, 20, 32))
    costs = FlopCosts(20)
    assert costs.of(SHAPE, "heads", 4) + costs.of(SHAPE, "channels", 48) == counter.get_total_flops()
