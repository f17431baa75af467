"""ONNX models that are one attention and nothing else, each in the ways that are compared with one another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from numpy.typing import NDArray

from edgeformer_converters.onnx import functions

HEADS, HEAD_DIM = 12, 64
WIDTH = HEADS * HEAD_DIM
SCALE = HEAD_DIM**-0.5
# "heads": [1, 12, S, 64], attention alone. "rows": [1, S, 768] in and out, as linear layers give and take it, with the
# reshapes and transposes that a way needs.
LAYOUTS = {"heads": f"B, {HEADS}, S, {HEAD_DIM}", "rows": f"B, S, {WIDTH}"}
_PLAIN = """
  scale = Constant <value_float = {scale}> ()
  scaled = Mul (q4, scale)
  turned = Transpose <perm = [0, 1, 3, 2]> (k4)
  product = MatMul (scaled, turned)
  {scores}
  weights = Softmax <axis = -1> (scores)
  o4 = MatMul (weights, v4)"""


_MASK = """one = Constant <value_float = 1.0> ()
  large = Constant <value_float = 1e9> ()
  axes12 = Constant <value_ints = [1, 2]> ()
  missing = Sub (keep, one)
  mask2 = Mul (missing, large)
  mask = Unsqueeze (mask2, axes12)
  scores = Add (product, mask)"""
_KEEP = ", float[B, S] keep"  # an input, 1 or 0 for each key, as all layers of a model share it


def plain(layout: str, masked: bool = False) -> onnx.ModelProto:
    """MatMul, Softmax, MatMul in standard operators; ``masked``: with a key mask added, as exported models have it."""
    body = _PLAIN.format(scale=SCALE, scores=_MASK if masked else "scores = Identity (product)")
    return _model(layout, _around(layout, body), 18, more_inputs=_KEEP if masked else "")


def fused(layout: str, masked: bool = False) -> onnx.ModelProto:
    """Full attention as ONNX Runtime's own fused operator, which takes a slower way where it is given a key mask."""
    if layout != "rows":
        raise ValueError("MultiHeadAttention takes rows")
    mask = ", , kept" if masked else ""
    body = f"""
  {"kept = Cast <to = 6> (keep)" if masked else ""}
  output = com.microsoft.MultiHeadAttention <num_heads = {HEADS}> (query, key, value{mask})"""
    return _model(layout, body, 18, '"com.microsoft" : 1', _KEEP if masked else "")


def standard_fused(layout: str) -> onnx.ModelProto:
    """Full attention as ONNX's operator Attention of opset 23, without a mask."""
    if layout == "rows":
        body = f"output = Attention <q_num_heads = {HEADS}, kv_num_heads = {HEADS}> (query, key, value)"
    else:
        body = "output = Attention (query, key, value)"
    return _model(layout, body, 23)


def local(layout: str, left: int, right: int, dense_below: int = 0, full_below: int = 0) -> onnx.ModelProto:
    """One node of ours with its function: the body, or the kernel where the session has it."""
    numbers = f"left = {left}, right = {right}, dilation = 1, causal = 0, scale = {SCALE}, full_below = {full_below}"
    name, rule = (functions.BY_LENGTH, f"dense_below = {dense_below}, ") if dense_below else (functions.NAME, "")
    node = f"o4 = {functions.DOMAIN}.{name} <{rule}{numbers}, global_tokens: ints = []> (q4, k4, v4, keep)"
    model = _model(layout, _around(layout, node), 18, f'"{functions.DOMAIN}" : 1', _KEEP)
    model.functions.extend(functions.definitions(functions.Features(), 18, by_length=bool(dense_below)))
    return model


def stacked(model: onnx.ModelProto, layers: int) -> onnx.ModelProto:
    """``layers`` times the model's graph, each one's output the next one's query: keys, values and mask are shared."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    query = "query"
    for layer in range(layers):
        names = {"query": query}
        for node in model.graph.node:
            copy = result.graph.node.add()
            copy.CopyFrom(node)
            copy.input[:] = [names.get(name, name) for name in node.input]
            names |= {name: f"{name}_{layer}" for name in node.output}
            if layer == layers - 1:
                names["output"] = "output"
            copy.output[:] = [names[name] for name in node.output]
        query = names["output"]
    return result


def session(model: onnx.ModelProto, threads: int, library: Path | None = None) -> onnxruntime.InferenceSession:
    """In ONNX Runtime's CPU provider, denormals as the runtime's engine has them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # other candidates run between: threads that go on spinning would take their cores
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if library is not None:
        options.register_custom_ops_library(str(library))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def feeds(layout: str, length: int) -> dict[str, NDArray[np.float32]]:
    """Standard normal query, key and value of one text, all of it kept."""
    generator = np.random.default_rng(length)
    shape = (1, HEADS, length, HEAD_DIM) if layout == "heads" else (1, length, WIDTH)
    found = {name: generator.standard_normal(shape, dtype=np.float32) for name in ("query", "key", "value")}
    return {**found, "keep": np.ones((1, length), np.float32)}


def runner(
    model: onnx.ModelProto, layout: str, length: int, threads: int, library: Path | None = None
) -> Callable[[], None]:
    """Runs the model once on its inputs, results left where ONNX Runtime puts them."""
    opened = session(model, threads, library)
    wanted = {item.name for item in opened.get_inputs()}
    arrays = {name: array for name, array in feeds(layout, length).items() if name in wanted}

    def run() -> None:
        opened.run(None, arrays)

    return run


def _around(layout: str, body: str) -> str:
    """``body``, from q4, k4 and v4 to o4, between the graph's inputs and its output."""
    if layout == "heads":
        given = "\n".join(f"  {name[0]}4 = Identity ({name})" for name in ("query", "key", "value"))
        return f"{given}\n{body}\n  output = Identity (o4)"
    given = "\n".join(
        f"  {name[0]}_cut = Reshape ({name}, by_head)\n  {name[0]}4 = Transpose <perm = [0, 2, 1, 3]> ({name[0]}_cut)"
        for name in ("query", "key", "value")
    )
    return f"""
  by_head = Constant <value_ints = [0, 0, {HEADS}, {HEAD_DIM}]> ()
  by_row = Constant <value_ints = [0, 0, {WIDTH}]> ()
{given}
{body}
  o_turned = Transpose <perm = [0, 2, 1, 3]> (o4)
  output = Reshape (o_turned, by_row)"""


def _model(layout: str, body: str, opset: int, domain: str = "", more_inputs: str = "") -> onnx.ModelProto:
    inputs = ", ".join(f"float[{LAYOUTS[layout]}] {name}" for name in ("query", "key", "value")) + more_inputs
    imports = f'"" : {opset}' + (f", {domain}" if domain else "")
    version = 11 if opset >= 23 else 8
    text = f"""
<ir_version: {version}, opset_import: [{imports}]>
one ({inputs}) => (float[{LAYOUTS[layout]}] output)
{{
{body}
}}"""
    return onnx.parser.parse_model(text)
