"""Which execution provider of ONNX Runtime took which node: asked of the session, never assumed from what was wanted.

ONNX Runtime from 1.24 on records it (``get_provider_graph_assignment_info``), with the nodes inside a compiled part.
Releases before that, which JetPack 5 and 6 have, tell it in the events of a profiled inference, where a compiled part
is one node; the nodes of the file that no other provider ran are then inside such a part, or were folded away.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from ..errors import EngineError

_RECORD = "session.record_ep_graph_assignment_info"
_SHOWN = 5
_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class Placement:
    """Nodes of a session by provider.

    ``nodes``: {provider: ("name (operator)", ...)}, in the order in which they run. ``parts``: {provider: how many of
    these are parts that it compiled, each standing for many nodes of the file}.
    """

    nodes: Mapping[str, Tuple[str, ...]]
    parts: Mapping[str, int]

    def fallen(self, wanted: str) -> Dict[str, Tuple[str, ...]]:
        """Nodes that ran elsewhere than on the provider ``wanted``."""
        return {provider: names for provider, names in self.nodes.items() if provider != wanted}

    def notes(self, wanted: str, in_file: Optional[int] = None) -> Tuple[str, ...]:
        """Sentences for a report: what ``wanted`` runs, and by name what it left to others; ``in_file``: nodes of the
        file, where known.
        """
        parts = self.parts.get(wanted, 0)
        single = len(self.nodes.get(wanted, ())) - parts
        of_file = f" of a file of {_count(in_file, 'node')}" if in_file is not None else ""
        if parts:
            more = f" and {_count(single, 'node')}" if single else ""
            notes = [f"{wanted} runs {_count(parts, 'compiled part')}{more}{of_file}"]
        else:
            notes = [f"{wanted} runs {_count(single, 'node')}{of_file}"]
        for provider, names in self.fallen(wanted).items():
            shown = ", ".join(names[:_SHOWN])
            rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            notes.append(f"{_count(len(names), 'node')} fell back to {provider}: {shown}{rest}")
        return tuple(notes)


class Recorder:
    """Records the placement of one session.

    Call ``prepare`` with its options before it is created and ``read`` afterwards. Before ONNX Runtime 1.24 ``read``
    runs one inference on the feeds that it is given, with profiling on, and turns profiling off again.
    """

    def __init__(self, ort: Any) -> None:
        self._direct = hasattr(ort.InferenceSession, "get_provider_graph_assignment_info")
        self._folder: Any = None

    def prepare(self, options: Any) -> None:
        """Ask for the record in a session's options."""
        if self._direct:
            options.add_session_config_entry(_RECORD, "1")
            return
        self._folder = tempfile.TemporaryDirectory(prefix="edgeformer-placement-")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")

    def read(self, session: Any, feeds: Mapping[str, Any]) -> Placement:
        """The placement of ``session``; raises EngineError where ONNX Runtime doesn't tell it."""
        if self._direct:
            return _from_record(session.get_provider_graph_assignment_info())
        session.run(None, dict(feeds))
        return _from_profile(Path(session.end_profiling()))

    def close(self) -> None:
        """Remove the profile."""
        if self._folder is not None:
            self._folder.cleanup()


def _from_record(parts: Any) -> Placement:
    nodes: Dict[str, Tuple[str, ...]] = {}
    for part in parts:
        names = tuple(_named(node.name, node.op_type) for node in part.get_nodes())
        nodes[part.ep_name] = nodes.get(part.ep_name, ()) + names
    if not nodes:
        raise EngineError("ONNX Runtime doesn't tell which provider runs which node: its record is empty")
    return Placement(nodes, {})


def _from_profile(path: Path) -> Placement:
    try:
        events = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(f"ONNX Runtime doesn't tell which provider runs which node: {error}") from error
    nodes: Dict[str, Dict[str, bool]] = {}  # a dict keeps the order, and each node once; True for a compiled part
    for event in events if isinstance(events, list) else ():
        if not isinstance(event, dict) or event.get("cat") != "Node" or not str(event.get("name")).endswith(_SUFFIX):
            continue
        facts = event.get("args") or {}
        provider = str(facts.get("provider") or "")
        if provider:
            name = str(event["name"])[: -len(_SUFFIX)]
            # ONNX Runtime names a compiled part after its provider: "TensorrtExecutionProvider_TRTKernel_graph_…".
            nodes.setdefault(provider, {})[_named(name, facts.get("op_name"))] = name.startswith(f"{provider}_")
    if not nodes:
        raise EngineError("ONNX Runtime doesn't tell which provider runs which node: its profile names no node")
    parts = {provider: sum(found.values()) for provider, found in nodes.items() if any(found.values())}
    return Placement({provider: tuple(names) for provider, names in nodes.items()}, parts)


def _named(name: str, operator: Any) -> str:
    return f"{name or 'unnamed'} ({operator})"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
