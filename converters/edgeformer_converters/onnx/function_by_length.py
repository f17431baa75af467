"""``ai.edgeformer::AttentionByLength``: full attention for short inputs, ``LocalAttention`` for the others.

The choice stands outside of ``LocalAttention``, so that a session with the kernel takes ONNX Runtime's own products for
short inputs too: there they are faster than any window. Kernels know nothing of it; those of version 1 go on working.
"""

from __future__ import annotations

import onnx
import onnx.parser

from .function_pairs import UNSEEN, Features

BY_LENGTH = "AttentionByLength"


def attention_by_length(
    features: Features, domain: str, name: str, attributes: tuple[str, ...], opset: int
) -> onnx.FunctionProto:
    """The definition, around the function ``domain``::``name`` with ``attributes``.

    Inputs and output as those of ``name``; one attribute more, ``dense_below``: inputs of fewer positions get attention
    over all kept keys, without window and bias, and exactly 0 where no key is kept.
    """
    inputs = "query, key, value, keep" + (", bias" if features.bias else "")
    typed = {"scale": "float", "global_tokens": "ints"}
    passed = ", ".join(f"{item}: {typed.get(item, 'int')} = @{item}" for item in attributes)
    return onnx.parser.parse_function(f"""
    <opset_import: ["" : {opset}, "{domain}" : 1], domain: "{domain}">
    {BY_LENGTH} <dense_below, {", ".join(attributes)}> ({inputs}) => (output)
    {{
      least = Constant <value_int: int = @dense_below> ()
      scale = Constant <value_float: float = @scale> ()
      axis0 = Constant <value_ints = [0]> ()
      size = Shape <start = 1, end = 2> (keep)
      length = Squeeze (size, axis0)
      is_short = Less (length, least)
      {_MASK}
      output = If (is_short) <
        then_branch: graph = full () => (full_output) {{ {_full(features)} }},
        else_branch: graph = local () => (local_output) {{
          local_output = {domain}.{name} <{passed}> ({inputs})
        }}
      >
    }}""")


# Outside of the branches, and with constants that no branch uses: what depends on the mask alone is the same in all
# layers, and ONNX Runtime computes it once.
_MASK = f"""
      one = Constant <value_float = 1.0> ()
      minus_unseen = Constant <value_float = {-UNSEEN}> ()
      axis1 = Constant <value_ints = [1]> ()
      axes12 = Constant <value_ints = [1, 2]> ()
      axes123 = Constant <value_ints = [1, 2, 3]> ()
      missing = Sub (keep, one)
      mask2 = Mul (missing, minus_unseen)
      mask = Unsqueeze (mask2, axes12)
      any = ReduceMax <keepdims = 0> (keep, axis1)
      any4 = Unsqueeze (any, axes123)"""


def _full(features: Features) -> str:
    """Attention over all kept keys. ONNX Runtime makes one operator of the transposition, product and scale."""
    groups, merge = "f_queries = Identity (query)", "f_heads = Identity (f_sums)"
    if features.shared_keys:
        # query heads that share a key head become further rows of one product
        groups = """
      f_kept_axis = Constant <value_ints = [0]> ()
      f_rest = Constant <value_ints = [-1]> ()
      f_kv_heads = Shape <start = 1, end = 2> (key)
      f_width = Shape <start = 3, end = 4> (query)
      f_grouped = Concat <axis = 0> (f_kept_axis, f_kv_heads, f_rest, f_width)
      f_queries = Reshape (query, f_grouped)"""
        merge = """
      f_shape = Shape (query)
      f_heads = Reshape (f_sums, f_shape)"""
    return f"""
      {groups}
      f_turned = Transpose <perm = [0, 1, 3, 2]> (key)
      f_product = MatMul (f_queries, f_turned)
      f_scores = Mul (f_product, scale)
      f_masked = Add (f_scores, mask)
      f_weights = Softmax <axis = -1> (f_masked)
      f_sums = MatMul (f_weights, value)
      {merge}
      full_output = Mul (f_heads, any4)"""
