"""Parts of the LocalAttention function's text: the way of blocks, a Scan whose cost grows with the length.

Legend: see ``functions``.
"""

from __future__ import annotations

from .function_pairs import Features, attend, in_window, pair_bias

# blocks of a quarter of the window, within these: larger ones compute more that is masked, smaller ones cost overhead
_SMALLEST_BLOCK, _LARGEST_BLOCK = 32, 128


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
      c_query = Identity (query)
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
      {_classes("c_query", "query")}
      {_classes("c_key", "key")}
      {_classes("c_value", "value")}
      mask_padded = Pad (key_mask, class_pads, unseen, axis1)
      mask_cut_shape = Concat <axis = 0> (batch, last_axis, dilations)
      mask_cut = Reshape (mask_padded, mask_cut_shape)
      mask_turned = Transpose <perm = [0, 2, 1]> (mask_cut)
      mask_shape = Concat <axis = 0> (class_batch, last_axis)
      c_mask = Reshape (mask_turned, mask_shape)"""


def blocks(features: Features) -> str:
    """Blocks of queries, each against the keys in its reach."""
    merge = "b_positions = Identity (b_whole)"
    if features.dilation:
        merge = """
      b_by_class_shape = Concat <axis = 0> (batch, dilations, heads, padded_size, width)
      b_by_class = Reshape (b_whole, b_by_class_shape)
      b_interleaved = Transpose <perm = [0, 2, 3, 1, 4]> (b_by_class)
      b_positions_shape = Concat <axis = 0> (batch, heads, last_axis, width)
      b_positions = Reshape (b_interleaved, b_positions_shape)"""
    scanned = "block_starts" + (", global_masks" if features.global_tokens else "")
    count = 2 if features.global_tokens else 1
    return f"""
      {_split(features)}
      {_block_sizes(features)}
      c_masks = Unsqueeze (c_mask, axes12)
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
    """q, N, and where blocks start."""
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
      blocks_up = Add (class_size, block_axis)
      blocks_up_one = Sub (blocks_up, axis1)
      block_counts = Div (blocks_up_one, block_axis)
      padded_size = Mul (block_counts, block_axis)
      block_count = Squeeze (block_counts, axis0)
      block_numbers = Range (zero, block_count, one)
      block_starts = Mul (block_numbers, block)"""


def _band(features: Features) -> str:
    """``band`` [q, w]: 0 in the window, else ``UNSEEN``; ``band_bias`` [H, q, w]. The same for every block."""
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
    """One block. All is cut from the inputs where it is needed: copies of them, padded, took more memory and time.

    At both ends of the input a block reaches fewer keys, and the band is cut as they are.
    """
    keys, values, mask = "own_keys", "own_values", "own_mask"
    inputs, columns, bias = "block_start", "", ""
    if features.bias:
        columns, bias = "own_bias = Slice (band_bias, s_band_from, s_band_to, axis2)", "own_bias"
    if features.global_tokens:
        inputs += ", block_global_mask"
        keys, values, mask = "both_keys", "both_values", "both_mask"
        columns += """
      both_keys = Concat <axis = 3> (own_keys, global_keys)
      both_values = Concat <axis = 2> (own_values, global_values)
      both_mask = Concat <axis = 3> (own_mask, block_global_mask)"""
        if features.bias:
            columns += """
      both_bias = Concat <axis = 2> (own_bias, g_no_bias)"""
            bias = "both_bias"
    return f"""block ({inputs}) => (s_output) {{
      s_from = Unsqueeze (block_start, axis0)
      s_to = Add (s_from, block_axis)
      s_given = Slice (c_query, s_from, s_to, axis2)
      s_rows_given = Shape <start = 2, end = 3> (s_given)
      s_rows_missing = Sub (block_axis, s_rows_given)
      s_pads = Concat <axis = 0> (axis0, s_rows_missing)
      s_unscaled = Pad (s_given, s_pads, zero_float, axis2)
      block_query = Mul (s_unscaled, scale)
      s_first_key = Sub (s_from, left_axis)
      s_keys_from = Max (s_first_key, axis0)
      s_last_key = Add (s_to, right_axis)
      s_keys_to = Min (s_last_key, class_size)
      s_band_from = Sub (s_keys_from, s_first_key)
      s_band_to = Sub (s_keys_to, s_first_key)
      own_key_rows = Slice (c_key, s_keys_from, s_keys_to, axis2)
      own_keys = Transpose <perm = [0, 1, 3, 2]> (own_key_rows)
      own_values = Slice (c_value, s_keys_from, s_keys_to, axis2)
      own_key_mask = Slice (c_masks, s_keys_from, s_keys_to, axis3)
      own_band = Slice (band, s_band_from, s_band_to, axis1)
      own_mask = Add (own_key_mask, own_band)
      {columns}
      {attend("s", "block_query", keys, values, mask, bias, features)}
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
      g_no_bias = Expand (zero_float, g_nothing)"""
    return f"""
      g_keys = Gather <axis = 2> (key, global_index)
      g_values = Gather <axis = 2> (value, global_index)
      g_count = Shape (globals)
      {expand}
      global_keys = Transpose <perm = [0, 1, 3, 2]> (global_keys_plain)
      {in_window("g", "position_column", "globals")}
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
      query_tail = Sub (padded_size, class_size)
      query_pads = Concat <axis = 0> (axis0, query_tail)
      g_mask_padded = Pad (global_masks_by_class, query_pads, zero_float, axis2)
      g_mask_shape = Concat <axis = 0> (class_batch, block_counts, block_axis, axis1, g_count)
      g_mask_cut = Reshape (g_mask_padded, g_mask_shape)
      global_masks = Transpose <perm = [1, 0, 3, 2, 4]> (g_mask_cut)
      {bias}"""


def _global_rows(features: Features) -> str:
    """Rows of global queries, against all keys, in place of what their blocks gave."""
    return f"""
      r_unscaled = Gather <axis = 2> (query, global_index)
      r_queries = Mul (r_unscaled, scale)
      r_keys = Transpose <perm = [0, 1, 3, 2]> (key)
      r_positions = Unsqueeze (global_index, axis1)
      {in_window("r", "r_positions", "positions")}
      r_past = LessOrEqual (positions, r_positions)
      r_allowed = Or (r_past, not_causal)
      r_pairs = Where (r_allowed, zero_float, unseen)
      r_key_mask = Unsqueeze (key_mask, axes12)
      r_mask = Add (r_key_mask, r_pairs)
      {pair_bias("r") if features.bias else ""}
      {attend("r", "r_queries", "r_keys", "value", "r_mask", "r_bias" if features.bias else "", features)}
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
