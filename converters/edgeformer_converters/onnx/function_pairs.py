"""Parts of the LocalAttention function's text: what its ways share, and the way of all pairs.

Legend: see ``functions``.
"""

from __future__ import annotations

from dataclasses import dataclass

# Scores are kept within this of their row's largest: exp of it, 3e-33, is nothing beside 1, but no denormal. Those
# make ONNX Runtime's Softmax four times slower (AVX512), even where its results are exact zeros.
DEEPEST = 75.0
UNSEEN = -1.0e9  # added to scores of keys that aren't seen


@dataclass(frozen=True)
class Features:
    """What the layers of one file need."""

    dilation: bool = False
    global_tokens: bool = False
    no_global_tokens: bool = False  # beside layers that have some: these get a position that no input reaches
    bias: bool = False
    shared_keys: bool = False  # fewer key/value than query heads (Ainslie et al. 2023)

    def __or__(self, other: Features) -> Features:
        """What either needs."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Features(*(mine or theirs for mine, theirs in pairs))


def in_window(prefix: str, queries: str, keys: str) -> str:
    """``<prefix>_window``: bool, whether key positions lie in the windows of query positions, broadcast."""
    return f"""
      {prefix}_offset = Sub ({keys}, {queries})
      {prefix}_step = Div ({prefix}_offset, dilation)
      {prefix}_whole = Mul ({prefix}_step, dilation)
      {prefix}_on_grid = Equal ({prefix}_whole, {prefix}_offset)
      {prefix}_column = Add ({prefix}_step, left)
      {prefix}_after_left = GreaterOrEqual ({prefix}_column, zero)
      {prefix}_before_right = LessOrEqual ({prefix}_column, around)
      {prefix}_between = And ({prefix}_after_left, {prefix}_before_right)
      {prefix}_window = And ({prefix}_between, {prefix}_on_grid)"""


def pair_bias(prefix: str) -> str:
    """``<prefix>_bias`` [H, …]: the bias of each pair in the window, 0 outside."""
    return f"""
      {prefix}_least = Max ({prefix}_column, zero)
      {prefix}_index = Min ({prefix}_least, around)
      {prefix}_taken = Gather <axis = 1> (bias, {prefix}_index)
      {prefix}_bias = Where ({prefix}_window, {prefix}_taken, zero_float)"""


def attend(prefix: str, queries: str, keys: str, values: str, mask: str, bias: str, features: Features) -> str:
    """``<prefix>_result`` [·, H, rows, D] from queries, keys [·, K, D, columns], values, and a mask [·, 1, rows,
    columns] of 0 and ``UNSEEN``: softmax over the seen keys, 0 where there are none.
    """
    product = f"{prefix}_scores = MatMul ({queries}, {keys})"
    sums = f"{prefix}_sums = MatMul ({prefix}_weights, {values})"
    if features.shared_keys:
        # the query heads that share a key head become further rows of one product
        product = f"""
      {prefix}_group_shape = Concat <axis = 0> (last_axis, kv_heads, shared, {prefix}_rows, width)
      {prefix}_group_scores_shape = Concat <axis = 0> (last_axis, heads, {prefix}_rows, {prefix}_columns)
      {prefix}_groups = Reshape ({queries}, {prefix}_group_shape)
      {prefix}_shared_keys = Unsqueeze ({keys}, axis2)
      {prefix}_group_scores = MatMul ({prefix}_groups, {prefix}_shared_keys)
      {prefix}_scores = Reshape ({prefix}_group_scores, {prefix}_group_scores_shape)"""
        product = f"""
      {prefix}_rows = Shape <start = 2, end = 3> ({queries})
      {prefix}_columns = Shape <start = 3, end = 4> ({keys}){product}"""
        sums = f"""
      {prefix}_group_weights_shape = Concat <axis = 0> (last_axis, kv_heads, shared, {prefix}_rows, {prefix}_columns)
      {prefix}_sums_shape = Concat <axis = 0> (last_axis, heads, {prefix}_rows, width)
      {prefix}_group_weights = Reshape ({prefix}_weights, {prefix}_group_weights_shape)
      {prefix}_shared_values = Unsqueeze ({values}, axis2)
      {prefix}_group_sums = MatMul ({prefix}_group_weights, {prefix}_shared_values)
      {prefix}_sums = Reshape ({prefix}_group_sums, {prefix}_sums_shape)"""
    biased = f"{prefix}_offsets = Add ({mask}, {bias})" if bias else f"{prefix}_offsets = Identity ({mask})"
    return f"""
      {product}
      {biased}
      {prefix}_masked = Add ({prefix}_scores, {prefix}_offsets)
      {prefix}_largest = ReduceMax <keepdims = 1> ({prefix}_masked, last_axis)
      {prefix}_floor = Sub ({prefix}_largest, deepest)
      {prefix}_floored = Max ({prefix}_masked, {prefix}_floor)
      {prefix}_weights = Softmax <axis = -1> ({prefix}_floored)
      {sums}
      {prefix}_least_masked = ReduceMax <keepdims = 1> ({mask}, last_axis)
      {prefix}_sees = Greater ({prefix}_least_masked, barely_seen)
      {prefix}_result = Where ({prefix}_sees, {prefix}_sums, zero_float)"""


def dense(features: Features) -> str:
    """All queries against all keys, with the pattern as a mask [S, S]."""
    see_globals = "d_pattern = Identity (d_window)"
    if features.global_tokens:
        see_globals = """
      d_from_global = Unsqueeze (is_global, axis1)
      d_either = Or (d_from_global, is_global)
      d_pattern = Or (d_window, d_either)"""
    return f"""
      d_queries = Unsqueeze (positions, axis1)
      {in_window("d", "d_queries", "positions")}
      {see_globals}
      d_past = LessOrEqual (positions, d_queries)
      d_allowed = Or (d_past, not_causal)
      d_seen = And (d_pattern, d_allowed)
      d_pairs = Where (d_seen, zero_float, unseen)
      d_keys_mask = Unsqueeze (key_mask, axes12)
      d_mask = Add (d_keys_mask, d_pairs)
      d_keys = Transpose <perm = [0, 1, 3, 2]> (key)
      d_scaled = Mul (query, scale)
      {pair_bias("d") if features.bias else ""}
      {attend("d", "d_scaled", "d_keys", "value", "d_mask", "d_bias" if features.bias else "", features)}
      dense_output = Identity (d_result)"""
