"""What the manifest says of a variant, from what its exporter wrote: one file, or one for each of its graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from edgeformer_converters.base import (
    ExportedVariant,
    ExportError,
    ExportRequest,
    VariantPlan,
    get_converter,
    quantized_layers,
)
from edgeformer_runtime.bundle.manifest import MAIN, SEQUENCE, Graph, VariantEntry
from edgeformer_runtime.bundle.needs import typed_settings


def folder_of(graph: str) -> str:
    """Where a graph's files lie in their variant's folder; a lone graph's lie there themselves."""
    return "." if graph == MAIN else graph


def variant_entry(
    plan: VariantPlan, made: Mapping[str, ExportedVariant], requests: Mapping[str, ExportRequest], size_bytes: int
) -> VariantEntry:
    """The entry, still without verification. ``made`` and ``requests`` are by graph, of one converter.

    Raises:
        ExportError: no package of the engine gives right results on all graphs.
    """
    first = next(iter(made.values()))
    lengths = max((item.sequence_lengths for item in made.values()), key=len)
    layers = (layer for request in requests.values() for layer in quantized_layers(request.module).values())
    formats = Counter(str(layer.format) for layer in layers)
    for item in made.values():
        formats.update(item.weight_formats)
    return VariantEntry(
        name=plan.name,
        format=get_converter(plan.format).file_format,
        engine=first.engine,
        graphs={graph: _graph(plan, graph, item, requests[graph]) for graph, item in made.items()},
        size_bytes=size_bytes,
        lengths={SEQUENCE: tuple(lengths)} if lengths else {},
        fixed_batch=first.fixed_batch,
        weight_formats=dict(sorted(formats.items())),
        engine_packages=_packages(plan, made),
        min_engine_version=max((item.min_engine_version for item in made.values()), key=_version),
        targets=plan.targets,
        **typed_settings(first.engine, _merged([item.settings for item in made.values()])),
    )


def merged_facts(made: Mapping[str, ExportedVariant]) -> dict[str, Any]:
    """For the report: of several graphs, counts are added up, lists joined, and the rest is kept by graph.

    What has a sentence under ``said``, such as TensorRT's verdict, keeps one of all graphs there.
    """
    if len(made) == 1:
        return dict(next(iter(made.values())).facts)
    facts: dict[str, Any] = {}
    for key in dict.fromkeys(key for item in made.values() for key in item.facts):
        by_graph = {graph: item.facts[key] for graph, item in made.items() if key in item.facts}
        if all(type(value) is int for value in by_graph.values()):
            facts[key] = sum(by_graph.values())
        elif all(isinstance(value, list | tuple) for value in by_graph.values()):
            facts[key] = [entry for value in by_graph.values() for entry in value]
        else:
            said = _said(by_graph)
            facts[key] = {**by_graph, "said": said} if said else by_graph
    return facts


def _said(by_graph: Mapping[str, Any]) -> str:
    """The graphs' sentences, each once, led by whose it is where not all say the same."""
    graphs: dict[str, list[str]] = {}
    for graph, value in by_graph.items():
        if isinstance(value, Mapping) and "said" in value:
            graphs.setdefault(str(value["said"]), []).append(graph)
    if len(graphs) == 1 and len(by_graph) == len(next(iter(graphs.values()))):
        return next(iter(graphs))
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in graphs.items())


def _graph(plan: VariantPlan, name: str, made: ExportedVariant, request: ExportRequest) -> Graph:
    if name == MAIN:
        return Graph(f"variants/{plan.name}/{made.path}")
    return Graph(f"variants/{plan.name}/{folder_of(name)}/{made.path}", request.inputs, request.outputs)


def _packages(plan: VariantPlan, made: Mapping[str, ExportedVariant]) -> tuple[str, ...]:
    """Those that every graph allows; () where each allows any."""
    limited = [item.engine_packages for item in made.values() if item.engine_packages]
    if not limited:
        return ()
    common = tuple(name for name in limited[0] if all(name in names for names in limited))
    if not common:
        raise ExportError(f"variant {plan.name}: no package runs all of its graphs: {limited}")
    return common


def _version(text: str | None) -> tuple[int, ...]:
    """ "iOS18" and "1.19" in order; nothing is before every version."""
    return tuple(int(part) for part in text.removeprefix("iOS").split(".")) if text else ()


def _merged(settings: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Of all graphs: tables such as TensorRT's profiles by input are joined, other values are those of the first."""
    first, *others = settings
    found = dict(first)
    for item in others:
        for key, value in item.items():
            known = found.setdefault(key, value)
            if isinstance(known, Mapping) and isinstance(value, Mapping):
                found[key] = {**value, **known}
    return found
