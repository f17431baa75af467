"""LocalAttention as one node of ``ai.edgeformer``, and the function that defines it for sessions without our kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..ops.local_attention import LocalAttention
from . import functions
from .functions import BY_LENGTH, DOMAIN, NAME, VERSION, Features
from .graph import Emitter, Lowering

_WORTH_A_BRANCH = 64  # positions


def lower_attention(lowering: Lowering, emit: Emitter, node: ir.Node) -> ir.Value:
    """Emit the layer that ``node`` names; returns [B, H, S, D]."""
    layer = lowering.attentions[emit.prefix]
    inputs = list(node.inputs)
    if needed(lowering).bias:
        # the function has one list of inputs for all layers of the file: a layer without a bias brings zeros
        bias = np.zeros((layer.heads, layer.pattern.window), np.float32) if layer.bias is None else layer.bias.numpy()
        inputs.append(emit.initializer("bias", bias.astype(np.float32)))
    below = full_attention_below(layer)
    if not below:
        return emit.node(NAME, *inputs, name="output", domain=DOMAIN, **attributes(layer))
    rule = ir.AttrInt64("dense_below", below)
    return emit.node(BY_LENGTH, *inputs, name="output", domain=DOMAIN, dense_below=rule, **attributes(layer))


def full_attention_below(layer: LocalAttention) -> int:
    """The length below which full attention is right: what the layer's pattern says, or where every window holds the
    whole input; 0 where that is too short to be worth a branch.
    """
    pattern = layer.pattern
    if pattern.dense_below:
        return pattern.dense_below
    plain_window = not pattern.causal and pattern.dilation == 1 and layer.bias is None
    covered = min(pattern.left, pattern.right) + 2 if plain_window else 0
    return covered if covered >= _WORTH_A_BRANCH else 0


def attributes(layer: LocalAttention) -> dict[str, ir.Attr]:
    """The attributes of a layer's node. Beside what a kernel needs, ``full_below`` for the function."""
    pattern = layer.pattern
    integers = {
        "left": pattern.left,
        "right": pattern.right,
        "dilation": pattern.dilation,
        "causal": int(pattern.causal),
        "full_below": full_below(layer),
    }
    return {
        **{name: ir.AttrInt64(name, value) for name, value in integers.items()},
        "global_tokens": ir.AttrInt64s("global_tokens", pattern.global_tokens),  # typed: it may be empty
        "scale": ir.AttrFloat32("scale", layer.scale),
    }


def full_below(layer: LocalAttention) -> int:
    """The length below which the function computes all pairs: where that was as fast, or what the layer says if less.

    Measured on one x86 core (12 heads of 64): at radius 128 between 256 and 384 tokens, at 256 between 384 and 512.
    """
    return min(layer.full_below, 5 * (layer.pattern.left + layer.pattern.right) // 4)


def needed(lowering: Lowering) -> Features:
    """What the function must be able to do for all layers together."""
    total = Features()
    for layer in lowering.attentions.values():
        total |= Features(
            dilation=layer.pattern.dilation > 1,
            global_tokens=bool(layer.pattern.global_tokens),
            no_global_tokens=not layer.pattern.global_tokens,
            bias=layer.bias is not None,
            shared_keys=layer.heads != layer.kv_heads,
        )
    return total


def add_function(lowering: Lowering, opset: int) -> None:
    """Define the node's function in the model, when a node calls it."""
    model = lowering.model
    called = {node.op_type for node in model.graph if node.domain == DOMAIN} & {NAME, BY_LENGTH}
    if called:
        model.opset_imports[DOMAIN] = VERSION
        for definition in functions.definitions(needed(lowering), opset, by_length=BY_LENGTH in called):
            function = ir.from_proto(definition)
            model.functions[function.identifier()] = function


def settings(lowering: Lowering) -> dict[str, Any]:
    """What a native kernel must cover to stand in for the function, for the manifest; {} without local attention."""
    if not any(node.domain == DOMAIN and node.op_type in (NAME, BY_LENGTH) for node in lowering.model.graph):
        return {}
    head_dims = sorted({layer.head_dim for layer in lowering.attentions.values()})
    return {"local_attention": {"head_dims": head_dims, "dtype": "float32", "kernel_version": VERSION}}


def lower_pad(_lowering: Lowering, emit: Emitter, node: ir.Node) -> ir.Value:
    """Zeros at the end of the third of four axes, up to the length that the node names."""
    x = node.inputs[0]
    length = emit.node("Shape", x, name="length", start=2, end=3)
    longest = emit.constant(np.array([node.attributes["longest"].as_int()], np.int64))
    before = emit.constant(np.zeros(6, np.int64))
    after = emit.constant(np.zeros(1, np.int64))
    tail = emit.node("Sub", longest, length, name="tail")
    return emit.node("Pad", x, emit.node("Concat", before, tail, after, name="pads", axis=0), name="padded")


def lower_cut(_lowering: Lowering, emit: Emitter, node: ir.Node) -> ir.Value:
    """The first input, its third axis cut to the length of the second's."""
    length = emit.node("Shape", node.inputs[1], name="length", start=2, end=3)
    bounds = (emit.constant(np.array([0], np.int64)), length, emit.constant(np.array([2], np.int64)))
    return emit.node("Slice", node.inputs[0], *bounds, name="cut")
