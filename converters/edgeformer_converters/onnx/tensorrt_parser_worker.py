"""NVIDIA's ONNX parser and builder, in a process of its own: what is C++ there may end it without an exception.

    python -m edgeformer_converters.onnx.tensorrt_parser_worker MODEL.onnx CAPABILITY PROFILES

PROFILES is the JSON of a variant's shape profiles. Prints one JSON object: what ``tensorrt_parser`` makes a verdict of.
Imports nothing of ours but the terminal's streams.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from edgeformer_runtime.terminal import only_our_lines, say

_LAYERS = "Layers:\n"  # how the builder's message of an engine's layers begins


def main() -> int:
    """Parse, build, print; a refusal is a result, too."""
    with only_our_lines():
        say(json.dumps(found(*sys.argv[1:])))
    return 0


def found(path: str, capability: str, profiles: str) -> dict[str, Any]:
    """{parser, errors, layers, engine_bytes, layer_lines}; ``errors`` are the parser's or builder's own words."""
    importlib.import_module("tensorrt_rtx_libs")  # the bindings find their libraries once this is imported
    trt: Any = importlib.import_module("tensorrt_rtx_bindings")
    log = _log(trt)
    result: dict[str, Any] = {"parser": trt.__version__, "errors": []}
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(path):
        result["errors"] = [_words(parser.get_error(index)) for index in range(parser.num_errors)] or log.errors
        return result
    result["layers"] = network.num_layers
    settings = builder.create_builder_config()
    settings.num_compute_capabilities = 1
    settings.set_compute_capability(getattr(trt.ComputeCapability, "SM" + capability.replace(".", "")), 0)
    settings.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    profile = builder.create_optimization_profile()
    for name, shapes in json.loads(profiles).items():
        profile.set_shape(name, shapes["min"], shapes["opt"], shapes["max"])
    settings.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, settings)
    if engine is None:
        result["errors"] = log.errors or ["the builder gave no engine, and no reason"]
        return result
    result["engine_bytes"] = engine.nbytes
    result["layer_lines"] = [line for line in log.layers.splitlines() if line.startswith("Name: ")]
    return result


def _words(error: Any) -> str:
    where = f"node {error.node_name()} ({error.node_operator()}): " if error.node_name() else ""
    return f"{where}{error.desc()}"


def _log(trt: Any) -> Any:
    """A logger that keeps errors, and the layers of the engine that a build tells of."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.layers = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)
            elif message.startswith(_LAYERS):
                self.layers = message

    return Log()


if __name__ == "__main__":
    sys.exit(main())
