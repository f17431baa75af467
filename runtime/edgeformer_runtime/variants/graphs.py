"""Opening a variant: one runner for a variant that is one function, and one for several graphs, such as two towers."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Tuple, Union

import numpy as np

from ..bundle.manifest import MAIN, TensorSpec, VariantEntry
from ..engines.base import LoadedModel
from ..errors import EngineError, InputError
from .execution import VariantRunner

Tensors = Tuple[TensorSpec, ...]


class GraphsRunner:
    """Runs those of a variant's graphs whose inputs are given: a picture alone costs its own tower alone.

    It stands where a ``VariantRunner`` does, which each graph has one of.
    """

    def __init__(self, variant: VariantEntry, parts: Mapping[str, VariantRunner]) -> None:
        self.variant = variant
        self._parts = dict(parts)

    @property
    def label(self) -> str:
        """Of the engines that run it."""
        return " + ".join(dict.fromkeys(runner.label for runner in self._parts.values()))

    @property
    def delegation(self) -> Tuple[str, ...]:
        """What ran where, with the graph's name before it."""
        return tuple(f"{name}: {line}" for name, runner in self._parts.items() for line in runner.delegation)

    def run(self, feeds: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        """{input name: array} to {output name: array}, of every graph that ``feeds`` hold an input of.

        Raises InputError for an input of no graph, or where an input of a graph is missing; else as ``VariantRunner``.
        """
        left = dict(feeds)
        outputs: Dict[str, np.ndarray] = {}
        for runner in self._parts.values():
            given = {spec.name: left.pop(spec.name) for spec in runner.inputs if spec.name in left}
            if given:
                outputs.update(runner.run(given))
        if left or not outputs:
            taken = "; ".join(
                f"{name}: {', '.join(spec.name for spec in runner.inputs)}" for name, runner in self._parts.items()
            )
            raise InputError(
                f"variant {self.variant.name!r}: expected the inputs of its graphs, or of some of them ({taken}), got "
                f"{', '.join(map(str, left)) or 'nothing'}"
            )
        return outputs

    def close(self) -> None:
        """Release every graph's memory; calling it twice is harmless."""
        for runner in self._parts.values():
            runner.close()


Runner = Union[VariantRunner, GraphsRunner]


def cannot_run(variant: VariantEntry) -> str:
    """Why no runner here is for such graphs; "" where there is one."""
    graphs = variant.graphs
    if any(graph.states for graph in graphs.values()):
        return f"it runs in steps (graphs {', '.join(graphs)}), which this runtime can't"
    alone = list(graphs) == [MAIN]
    described = all(graph.inputs is not None and graph.outputs is not None for graph in graphs.values())
    return "" if alone or described else f"its graphs {', '.join(graphs)} don't say what each of them takes and gives"


def open_runner(
    variant: VariantEntry,
    inputs: Tensors,
    outputs: Tensors,
    load: Callable[[str, VariantEntry], LoadedModel],
) -> Runner:
    """A runner of all graphs of ``variant``.

    ``inputs`` and ``outputs`` are the manifest's. ``load(path, entry)`` gives the model at a path of the bundle;
    ``entry`` is the variant with that graph alone. Raises EngineError, and what ``load`` raises.
    """
    reason = cannot_run(variant)
    if reason:
        raise EngineError(f"variant {variant.name!r}: {reason}")
    parts: Dict[str, VariantRunner] = {}
    try:
        for name, graph in variant.graphs.items():
            entry = variant.of_graph(name)
            taken = inputs if graph.inputs is None else graph.inputs
            given = outputs if graph.outputs is None else graph.outputs
            parts[name] = VariantRunner(load(graph.path, entry), entry, taken, given)
    except BaseException:
        for runner in parts.values():
            runner.close()
        raise
    return parts[MAIN] if list(parts) == [MAIN] else GraphsRunner(variant, parts)
