"""What the runtime's fast kernels (the XNNPACK delegate) take of a file, and what they leave."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class Delegation:
    """How the first signature of a file would run on this machine."""

    partitions: int  # pieces of the graph that XNNPACK runs
    left_out: dict[str, int]  # operators that it doesn't take: name to number


def delegation(path: Path) -> Delegation:
    """Ask the interpreter what it would do with the file at ``path``; raises whatever the interpreter raises.

    It lists every operator of the original graph, and one DELEGATE for each partition. Whatever is met on the
    way back from the outputs, with each partition as one step, runs outside.
    """
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    # not public, and the only way to see the plan: the caller treats a failure as "unknown"
    operators = interpreter._get_ops_details()
    outputs = [int(end["index"]) for end in interpreter.get_output_details()]
    return Delegation(
        partitions=sum(operator["op_name"] == _DELEGATE for operator in operators),
        left_out=dict(sorted(Counter(_executed(operators, outputs)).items())),
    )


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
