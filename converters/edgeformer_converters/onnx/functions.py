"""``ai.edgeformer::LocalAttention`` as a model-local function of standard operators, for sessions without a kernel.

A session inlines the body; one that registers the native library takes the kernel of the same domain and name instead.
The body has two ways, by the length at run time:

    dense     below ``full_below`` tokens: one masked product of all queries with all keys
    blocks    else: a Scan over blocks of queries, each against the keys in its reach

Positions that differ by a multiple of the dilation form a class of their own. In blocks, classes become batches, so
that a window has no gaps; global keys are further columns of every block; the rows of global queries are computed
against all keys and put in their places. One function serves all layers of a file: what differs between them is read
from the node's attributes, and what no layer needs is left out (``Features``).

Legend: B batch, H query heads, K key/value heads, S positions, D head size, G global positions, d dilation, n positions
of one residue class modulo d, N blocks, q queries a block, w = q + left + right keys a block sees, Z = B · d.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx.parser

DOMAIN = "ai.edgeformer"
NAME = "LocalAttention"
VERSION = 1
ATTRIBUTES = ("left", "right", "dilation", "causal", "global_tokens", "scale", "full_below")
# Scores are kept within this of their row's largest: exp of it, 3e-33, is nothing beside 1, but no denormal. Those
# make ONNX Runtime's Softmax four times slower (AVX512), even where its results are exact zeros.
_DEEPEST = 75.0
_UNSEEN = -1.0e9  # added to scores of keys that aren't seen
_BEYOND = 2**40  # a position beyond any input
# blocks of a quarter of the window, within these: larger ones compute more that is masked, smaller ones cost overhead
_SMALLEST_BLOCK, _LARGEST_BLOCK = 32, 128


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


def local_attention(features: Features, opset: int) -> onnx.FunctionProto:
    """The definition, for a model of ``opset`` (18 or newer; ONNX's checker wants the function's to be the same).

    Inputs query float32 [B, H, S, D]; key, value [B, K, S, D]; keep float32 0/1 [B, S]; with ``features.bias`` also
    bias [H, left + right + 1]. Output [B, H, S, D].
    """
    bias = ", bias" if features.bias else ""
    text = f"""
    <opset_import: ["" : {opset}], domain: "{DOMAIN}">
    {NAME} <{", ".join(ATTRIBUTES)}> (query, key, value, keep{bias}) => (output)
    {{
      {_SHARED}
      {_global_positions(features)}
      output = If (is_short) <
        then_branch: graph = dense () => (dense_output) {{ {_dense(features)} }},
        else_branch: graph = blocks () => (block_output) {{ {_blocks(features)} }}
      >
    }}"""
    return onnx.parser.parse_function(text)


_SHARED = f"""
      zero = Constant <value_int = 0> ()
      one = Constant <value_int = 1> ()
      axis0 = Constant <value_ints = [0]> ()
      axis1 = Constant <value_ints = [1]> ()
      axis2 = Constant <value_ints = [2]> ()
      axis3 = Constant <value_ints = [3]> ()
      axes12 = Constant <value_ints = [1, 2]> ()
      last_axis = Constant <value_ints = [-1]> ()
      left = Constant <value_int: int = @left> ()
      right = Constant <value_int: int = @right> ()
      dilation = Constant <value_int: int = @dilation> ()
      causal_number = Constant <value_int: int = @causal> ()
      full_below = Constant <value_int: int = @full_below> ()
      scale = Constant <value_float: float = @scale> ()
      zero_float = Constant <value_float = 0.0> ()
      one_float = Constant <value_float = 1.0> ()
      deepest = Constant <value_float = {_DEEPEST}> ()
      unseen = Constant <value_float = {_UNSEEN}> ()
      barely_seen = Constant <value_float = {_UNSEEN / 2}> ()
      minus_unseen = Neg (unseen)
      around = Add (left, right)
      causal = Cast <to = 9> (causal_number)
      not_causal = Not (causal)
      batch = Shape <start = 0, end = 1> (query)
      heads = Shape <start = 1, end = 2> (query)
      size = Shape <start = 2, end = 3> (query)
      width = Shape <start = 3, end = 4> (query)
      kv_heads = Shape <start = 1, end = 2> (key)
      shared = Div (heads, kv_heads)
      length = Squeeze (size, axis0)
      positions = Range (zero, length, one)
      scaled = Mul (query, scale)
      keep_minus_one = Sub (keep, one_float)
      key_mask = Mul (keep_minus_one, minus_unseen)
      is_short = Less (length, full_below)"""


def _global_positions(features: Features) -> str:
    """Which positions are global, and which of those lie inside the input."""
    if not features.global_tokens:
        return ""
    given = "globals = Constant <value_ints: ints = @global_tokens> ()"
    if features.no_global_tokens:
        given = f"""
      given_globals = Constant <value_ints: ints = @global_tokens> ()
      beyond = Constant <value_ints = [{_BEYOND}]> ()
      globals = Concat <axis = 0> (given_globals, beyond)"""
    return f"""
      {given}
      globals_inside = Less (globals, length)
      longest_index = Sub (length, one)
      global_index = Min (globals, longest_index)
      position_column = Unsqueeze (positions, axis1)
      is_that_global = Equal (position_column, globals)
      is_that_global_number = Cast <to = 1> (is_that_global)
      is_global_number = ReduceSum <keepdims = 0> (is_that_global_number, axis1)
      is_global = Greater (is_global_number, zero_float)"""


def _in_window(prefix: str, queries: str, keys: str) -> str:
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


def _bias(prefix: str) -> str:
    """``<prefix>_bias`` [H, …]: the bias of each pair in the window, 0 outside."""
    return f"""
      {prefix}_least = Max ({prefix}_column, zero)
      {prefix}_index = Min ({prefix}_least, around)
      {prefix}_taken = Gather <axis = 1> (bias, {prefix}_index)
      {prefix}_bias = Where ({prefix}_window, {prefix}_taken, zero_float)"""


def _attend(prefix: str, queries: str, keys: str, values: str, mask: str, bias: str, features: Features) -> str:
    """``<prefix>_result`` [·, H, rows, D] from queries, keys [·, K, D, columns], values, and a mask [·, 1, rows,
    columns] of 0 and ``_UNSEEN``: softmax over the seen keys, 0 where there are none.
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


def _dense(features: Features) -> str:
    """All queries against all keys, with the pattern as a mask [S, S]."""
    see_globals = "d_pattern = Identity (d_window)"
    if features.global_tokens:
        see_globals = """
      d_from_global = Unsqueeze (is_global, axis1)
      d_either = Or (d_from_global, is_global)
      d_pattern = Or (d_window, d_either)"""
    return f"""
      d_queries = Unsqueeze (positions, axis1)
      {_in_window("d", "d_queries", "positions")}
      {see_globals}
      d_past = LessOrEqual (positions, d_queries)
      d_allowed = Or (d_past, not_causal)
      d_seen = And (d_pattern, d_allowed)
      d_pairs = Where (d_seen, zero_float, unseen)
      d_keys_mask = Unsqueeze (key_mask, axes12)
      d_mask = Add (d_keys_mask, d_pairs)
      d_keys = Transpose <perm = [0, 1, 3, 2]> (key)
      {_bias("d") if features.bias else ""}
      {_attend("d", "scaled", "d_keys", "value", "d_mask", "d_bias" if features.bias else "", features)}
      dense_output = Identity (d_result)"""


def _classes(name: str, source: str) -> str:
    """``<name>`` [Z, heads, n, D] from [B, heads, S, D]: position p is number p // d of class p % d."""
    return f"""
      {name}_heads = Shape <start = 1, end = 2> ({source})
      {name}_width = Shape <start = 3, end = 4> ({source})
      {name}_padded = Pad ({source}, class_pads, zero_float, axis2)
      {name}_cut_shape = Concat <axis = 0> (batch, {name}_heads, last_axis, dilations, {name}_width)
      {name}_cut = Reshape ({name}_padded, {name}_cut_shape)
      {name}_turned = Transpose <perm = [0, 3, 1, 2, 4]> ({name}_cut)
      {name}_shape = Concat <axis = 0> (class_batch, {name}_heads, last_axis, {name}_width)
      {name} = Reshape ({name}_turned, {name}_shape)"""


def _split(features: Features) -> str:
    """Queries, keys, values and the key mask by class: c_query, c_key, c_value [Z, ·, n, D], c_mask [Z, n]."""
    if not features.dilation:
        return """
      class_batch = Identity (batch)
      c_query = Identity (scaled)
      c_key = Identity (key)
      c_value = Identity (value)
      c_mask = Identity (key_mask)
      class_size = Identity (size)"""
    return f"""
      dilations = Unsqueeze (dilation, axis0)
      class_batch = Mul (batch, dilations)
      class_up = Add (size, dilations)
      class_up_one = Sub (class_up, axis1)
      class_size = Div (class_up_one, dilations)
      class_total = Mul (class_size, dilations)
      class_tail = Sub (class_total, size)
      class_pads = Concat <axis = 0> (axis0, class_tail)
      {_classes("c_query", "scaled")}
      {_classes("c_key", "key")}
      {_classes("c_value", "value")}
      mask_padded = Pad (key_mask, class_pads, unseen, axis1)
      mask_cut_shape = Concat <axis = 0> (batch, last_axis, dilations)
      mask_cut = Reshape (mask_padded, mask_cut_shape)
      mask_turned = Transpose <perm = [0, 2, 1]> (mask_cut)
      mask_shape = Concat <axis = 0> (class_batch, last_axis)
      c_mask = Reshape (mask_turned, mask_shape)"""


def _blocks(features: Features) -> str:
    """Blocks of queries, each against the keys in its reach."""
    merge = "b_positions = Identity (b_whole)"
    if features.dilation:
        merge = """
      b_by_class_shape = Concat <axis = 0> (batch, dilations, heads, padded_size, width)
      b_by_class = Reshape (b_whole, b_by_class_shape)
      b_interleaved = Transpose <perm = [0, 2, 3, 1, 4]> (b_by_class)
      b_positions_shape = Concat <axis = 0> (batch, heads, last_axis, width)
      b_positions = Reshape (b_interleaved, b_positions_shape)"""
    scanned = "query_blocks, block_starts" + (", global_masks" if features.global_tokens else "")
    count = 3 if features.global_tokens else 2
    return f"""
      {_split(features)}
      {_block_sizes(features)}
      query_padded = Pad (c_query, query_pads, zero_float, axis2)
      query_shape = Concat <axis = 0> (class_batch, heads, block_counts, block_axis, width)
      query_cut = Reshape (query_padded, query_shape)
      query_blocks = Transpose <perm = [2, 0, 1, 3, 4]> (query_cut)
      key_turned = Transpose <perm = [0, 1, 3, 2]> (c_key)
      all_keys = Pad (key_turned, key_pads, zero_float, axis3)
      all_values = Pad (c_value, key_pads, zero_float, axis2)
      mask_wide = Pad (c_mask, key_pads, unseen, axis1)
      all_masks = Unsqueeze (mask_wide, axes12)
      {_band(features)}
      {_global_columns(features) if features.global_tokens else ""}
      b_outputs = Scan <num_scan_inputs = {count}, body = {_scan_body(features)}> ({scanned})
      b_turned = Transpose <perm = [1, 2, 0, 3, 4]> (b_outputs)
      b_whole_shape = Concat <axis = 0> (class_batch, heads, padded_size, width)
      b_whole = Reshape (b_turned, b_whole_shape)
      {merge}
      {_global_rows(features) if features.global_tokens else "block_output = Slice (b_positions, axis0, size, axis2)"}
      """


def _block_sizes(features: Features) -> str:
    """q, N, and how far queries and keys are padded."""
    return f"""
      four = Constant <value_int = 4> ()
      smallest = Constant <value_int = {_SMALLEST_BLOCK}> ()
      largest = Constant <value_int = {_LARGEST_BLOCK}> ()
      quarter = Div (around, four)
      at_least = Max (quarter, smallest)
      block = Min (at_least, largest)
      block_axis = Unsqueeze (block, axis0)
      left_axis = Unsqueeze (left, axis0)
      right_axis = Unsqueeze (right, axis0)
      reach = Add (block, around)
      reach_axis = Unsqueeze (reach, axis0)
      blocks_up = Add (class_size, block_axis)
      blocks_up_one = Sub (blocks_up, axis1)
      block_counts = Div (blocks_up_one, block_axis)
      padded_size = Mul (block_counts, block_axis)
      query_tail = Sub (padded_size, class_size)
      key_tail = Add (query_tail, right_axis)
      query_pads = Concat <axis = 0> (axis0, query_tail)
      key_pads = Concat <axis = 0> (left_axis, key_tail)
      block_count = Squeeze (block_counts, axis0)
      block_numbers = Range (zero, block_count, one)
      block_starts = Mul (block_numbers, block)"""


def _band(features: Features) -> str:
    """``band`` [q, w]: 0 in the window, else ``_UNSEEN``; ``band_bias`` [H, q, w]. The same for every block."""
    bias = ""
    if features.bias:
        bias = """
      band_least = Max (band_step, zero)
      band_index = Min (band_least, around)
      band_bias = Gather <axis = 1> (bias, band_index)"""
    return f"""
      columns = Range (zero, reach, one)
      rows = Range (zero, block, one)
      rows_column = Unsqueeze (rows, axis1)
      band_step = Sub (columns, rows_column)
      band_from = GreaterOrEqual (band_step, zero)
      band_to = LessOrEqual (band_step, around)
      band_inside = And (band_from, band_to)
      band = Where (band_inside, zero_float, unseen)
      {bias}"""


def _scan_body(features: Features) -> str:
    """One block; keys, values and masks are read from the graph around."""
    keys, values, mask, bias = "own_keys", "own_values", "own_mask", "band_bias" if features.bias else ""
    inputs, columns = "block_query, block_start", ""
    if features.global_tokens:
        inputs += ", block_global_mask"
        keys, values, mask = "both_keys", "both_values", "both_mask"
        columns = """
      both_keys = Concat <axis = 3> (own_keys, global_keys)
      both_values = Concat <axis = 2> (own_values, global_values)
      both_mask = Concat <axis = 3> (own_mask, block_global_mask)"""
        if features.bias:
            bias = "padded_bias"
    return f"""block ({inputs}) => (s_output) {{
      s_from = Unsqueeze (block_start, axis0)
      s_to = Add (s_from, reach_axis)
      own_keys = Slice (all_keys, s_from, s_to, axis3)
      own_values = Slice (all_values, s_from, s_to, axis2)
      own_key_mask = Slice (all_masks, s_from, s_to, axis3)
      own_mask = Add (own_key_mask, band)
      {columns}
      {_attend("s", "block_query", keys, values, mask, bias, features)}
      s_output = Identity (s_result)
    }}"""


def _global_columns(features: Features) -> str:
    """Global keys and values [Z, K, ·], and which queries see them there: those whose window they aren't in."""
    spread = "global_masks_by_class = Identity (g_mask4)"
    expand = """
      global_keys_plain = Identity (g_keys)
      global_values = Identity (g_values)"""
    if features.dilation:
        spread = _classes("global_masks_by_class", "g_mask4")
        expand = """
      g_spread = Concat <axis = 0> (batch, dilations, kv_heads, last_axis, width)
      g_repeat = Concat <axis = 0> (axis1, dilations, axis1, axis1, axis1)
      g_flat = Concat <axis = 0> (class_batch, kv_heads, g_count, width)
      g_keys5 = Unsqueeze (g_keys, axis1)
      g_keys_tiled = Tile (g_keys5, g_repeat)
      global_keys_plain = Reshape (g_keys_tiled, g_flat)
      g_values5 = Unsqueeze (g_values, axis1)
      g_values_tiled = Tile (g_values5, g_repeat)
      global_values = Reshape (g_values_tiled, g_flat)"""
    bias = ""
    if features.bias:
        bias = """
      g_nothing = Concat <axis = 0> (heads, block_axis, g_count)
      g_no_bias = Expand (zero_float, g_nothing)
      padded_bias = Concat <axis = 2> (band_bias, g_no_bias)"""
    return f"""
      g_keys = Gather <axis = 2> (key, global_index)
      g_values = Gather <axis = 2> (value, global_index)
      g_count = Shape (globals)
      {expand}
      global_keys = Transpose <perm = [0, 1, 3, 2]> (global_keys_plain)
      {_in_window("g", "position_column", "globals")}
      g_outside = Not (g_window)
      g_past = LessOrEqual (globals, position_column)
      g_allowed = Or (g_past, not_causal)
      g_seen_there = And (g_outside, g_allowed)
      g_seen = And (g_seen_there, globals_inside)
      g_pairs = Where (g_seen, zero_float, unseen)
      g_key_mask = Gather <axis = 1> (key_mask, global_index)
      g_key_mask3 = Unsqueeze (g_key_mask, axis1)
      g_mask3 = Add (g_key_mask3, g_pairs)
      g_mask4 = Unsqueeze (g_mask3, axis1)
      {spread}
      g_mask_padded = Pad (global_masks_by_class, query_pads, zero_float, axis2)
      g_mask_shape = Concat <axis = 0> (class_batch, block_counts, block_axis, axis1, g_count)
      g_mask_cut = Reshape (g_mask_padded, g_mask_shape)
      global_masks = Transpose <perm = [1, 0, 3, 2, 4]> (g_mask_cut)
      {bias}"""


def _global_rows(features: Features) -> str:
    """Rows of global queries, against all keys, in place of what their blocks gave."""
    return f"""
      r_queries = Gather <axis = 2> (scaled, global_index)
      r_keys = Transpose <perm = [0, 1, 3, 2]> (key)
      r_positions = Unsqueeze (global_index, axis1)
      {_in_window("r", "r_positions", "positions")}
      r_past = LessOrEqual (positions, r_positions)
      r_allowed = Or (r_past, not_causal)
      r_pairs = Where (r_allowed, zero_float, unseen)
      r_key_mask = Unsqueeze (key_mask, axes12)
      r_mask = Add (r_key_mask, r_pairs)
      {_bias("r") if features.bias else ""}
      {_attend("r", "r_queries", "r_keys", "value", "r_mask", "r_bias" if features.bias else "", features)}
      r_all = Concat <axis = 2> (b_positions, r_result)
      r_count = Shape <start = 2, end = 3> (b_positions)
      r_count_globals = Shape (globals)
      r_many = Squeeze (r_count_globals, axis0)
      r_orders = Range (zero, r_many, one)
      r_places = Add (r_orders, r_count)
      r_row_if = Where (is_that_global, r_places, zero)
      r_row = ReduceSum <keepdims = 0> (r_row_if, axis1)
      r_source = Where (is_global, r_row, positions)
      block_output = Gather <axis = 2> (r_all, r_source)"""
