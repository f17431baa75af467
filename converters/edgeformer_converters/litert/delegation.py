"""What the runtime's fast kernels (the XNNPACK delegate) take of a file, and what they leave."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

_DELEGATE = "DELEGATE"


def operators_left_out(path: Path) -> dict[str, int]:
    """Operators of the file's first signature that XNNPACK doesn't take here, by name and number.

    The interpreter lists every operator of the original graph, and one DELEGATE for each partition. Whatever
    is met on the way back from the outputs, with each partition as one step, runs outside.
    """
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    # not public, and the only way to see the plan: the caller treats a failure as "unknown"
    operators = interpreter._get_ops_details()
    outputs = [int(end["index"]) for end in interpreter.get_output_details()]
    return dict(sorted(Counter(_executed(operators, outputs)).items()))


def _executed(operators: list[dict[str, Any]], outputs: list[int]) -> list[str]:
    """Names of the operators, not partitions, that are needed for ``outputs``."""
    producer = {int(tensor): index for index, op in enumerate(operators) for tensor in op["outputs"]}
    # partitions come after the original operators and win
    needed, seen = list(outputs), set[int]()
    names = []
    while needed:
        index = producer.get(needed.pop())
        if index is None or index in seen:
            continue
        seen.add(index)
        operator = operators[index]
        if operator["op_name"] != _DELEGATE:
            names.append(operator["op_name"])
        needed.extend(int(tensor) for tensor in operator["inputs"])
    return names
