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

import onnx
import onnx.parser

from .function_blocks import blocks
from .function_by_length import BY_LENGTH, attention_by_length
from .function_pairs import DEEPEST, UNSEEN, Features, dense

__all__ = ["ATTRIBUTES", "BY_LENGTH", "DOMAIN", "NAME", "VERSION", "Features", "definitions", "local_attention"]

DOMAIN = "ai.edgeformer"
NAME = "LocalAttention"
VERSION = 1
ATTRIBUTES = ("left", "right", "dilation", "causal", "global_tokens", "scale", "full_below")
_BEYOND = 2**40  # a position beyond any input


def definitions(features: Features, opset: int, by_length: bool) -> list[onnx.FunctionProto]:
    """``local_attention`` and, for layers that choose ``by_length``, the function that chooses."""
    chooser = [attention_by_length(features, DOMAIN, NAME, ATTRIBUTES, opset)] if by_length else []
    return [*chooser, local_attention(features, opset)]


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
        then_branch: graph = dense () => (dense_output) {{ {dense(features)} }},
        else_branch: graph = blocks () => (block_output) {{ {blocks(features)} }}
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
      deepest = Constant <value_float = {DEEPEST}> ()
      unseen = Constant <value_float = {UNSEEN}> ()
      barely_seen = Constant <value_float = {UNSEEN / 2}> ()
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
