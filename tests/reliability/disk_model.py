"""What a disk may hold after a power cut: everything that was synced, and any part of the rest.

The model is POSIX's, which promises less than ext4 keeps: a sync of a file covers its content and not its name, a sync
of a folder covers its names; whatever wasn't synced may be there or not, in any order, and a write may be torn. A
rename is there or not, never half. Operations are recorded from the system calls of a real install.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from syscalls import Call, Traced


@dataclass
class Node:
    """A file or a folder, by number: names come and go."""

    folder: bool
    content: bytearray = field(default_factory=bytearray)
    entries: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One change. ``nodes`` are those whose sync makes it last; ``apply`` does it to {number: node}."""

    what: str
    nodes: tuple[int, ...]
    apply: Callable[[dict[int, Node], random.Random | None], None]


@dataclass(frozen=True)
class Sync:
    """Everything that was done to ``node`` lasts from here on."""

    node: int


class Recorder:
    """Records what a traced child does below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[Operation | Sync] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._existed = False
        self._offset = 0
        self._removed = -1
        self.top = self._number(root.parent)
        self.start: dict[int, Node] = {self.top: Node(True)}
        if root.exists():
            self.start[self.top].entries[root.name] = self._snapshot(root)

    def record(self, work: Callable[[], object]) -> int:
        """Run ``work`` in a child; returns its status."""
        traced = Traced(work, self.root)
        for call, done in traced.stops():
            if done:
                if call.result >= 0:
                    self._after(traced, call)
            else:
                self._before(traced, call)
        return traced.status

    def _before(self, traced: Traced, call: Call) -> None:
        if call.name == "openat":
            self._existed = os.path.lexists(call.paths[0])
        elif call.name in ("unlink", "unlinkat", "rmdir"):
            self._removed = self._number(Path(call.paths[0]))
        elif call.name == "write":
            position = Path(f"/proc/{traced.pid}/fdinfo/{call.arguments[0]}").read_text().split()[1]
            self._offset = int(position)

    def _after(self, traced: Traced, call: Call) -> None:
        name, path = call.name, Path(call.paths[0])
        if name in ("fsync", "fdatasync"):
            self.log.append(Sync(self._number(path)))
        elif name == "write":
            self._write(self._number(path), self._offset, traced.memory(call.arguments[1], call.result))
        elif name in ("mkdir", "mkdirat"):
            self._create(path, folder=True)
        elif name == "openat":
            self._create(path, folder=False) if not self._existed else self._truncate(call, path)
        elif name in ("unlink", "unlinkat", "rmdir"):
            self._remove(path)
        elif name in ("rename", "renameat", "renameat2"):
            self._rename(path, Path(call.paths[1]))
        else:
            raise RuntimeError(f"the model doesn't know the call {name} of {call.paths}")

    def _write(self, node: int, offset: int, data: bytes) -> None:
        def apply(nodes: dict[int, Node], torn: random.Random | None) -> None:
            content = nodes[node].content
            kept = data[: torn.randrange(len(data) + 1)] if torn is not None and torn.random() < 0.5 else data
            # The size may last without the content, which then reads as zeros.
            grown = offset + (len(data) if torn is not None and torn.random() < 0.5 else len(kept))
            content.extend(bytes(max(0, grown - len(content))))
            content[offset : offset + len(kept)] = kept

        self.log.append(Operation("write", (node,), apply))

    def _truncate(self, call: Call, path: Path) -> None:
        if not call.arguments[2] & os.O_TRUNC:
            return
        node = self._number(path)

        def apply(nodes: dict[int, Node], _: random.Random | None) -> None:
            nodes[node].content.clear()

        self.log.append(Operation("truncate", (node,), apply))

    def _create(self, path: Path, folder: bool) -> None:
        parent, status = self._number(path.parent), path.lstat()
        node = len(self._numbers) + 1_000_000 + len(self.log)
        self._numbers[(status.st_dev, status.st_ino)] = node  # the number of a removed file may be used again
        self.start[node] = Node(folder)

        def apply(nodes: dict[int, Node], _: random.Random | None) -> None:
            nodes[parent].entries[path.name] = node

        self.log.append(Operation(f"create {path.name}", (parent,), apply))

    def _remove(self, path: Path) -> None:
        parent, node = self._number(path.parent), self._removed

        def apply(nodes: dict[int, Node], _: random.Random | None) -> None:
            if nodes[parent].entries.get(path.name) == node:
                del nodes[parent].entries[path.name]

        self.log.append(Operation(f"remove {path.name}", (parent,), apply))

    def _rename(self, source: Path, target: Path) -> None:
        origin, parent, node = self._number(source.parent), self._number(target.parent), self._number(target)

        def apply(nodes: dict[int, Node], _: random.Random | None) -> None:
            nodes[parent].entries[target.name] = node
            if nodes[origin].entries.get(source.name) == node:
                del nodes[origin].entries[source.name]

        self.log.append(Operation(f"rename {target.name}", (origin, parent), apply))

    def _number(self, path: Path) -> int:
        status = path.lstat()
        key = (status.st_dev, status.st_ino)
        return self._numbers.setdefault(key, len(self._numbers) + 1)

    def _snapshot(self, path: Path) -> int:
        number = self._number(path)
        if path.is_dir():
            names = {child.name: self._snapshot(child) for child in path.iterdir()}
            self.start[number] = Node(True, entries=names)
        else:
            self.start[number] = Node(False, bytearray(path.read_bytes()))
        return number


def after_power_cut(recorder: Recorder, moment: int, generator: random.Random) -> dict[int, Node]:
    """A state that the disk may have when the power goes after ``moment`` entries of the log."""
    nodes = {
        number: Node(node.folder, bytearray(node.content), dict(node.entries))
        for number, node in recorder.start.items()
    }
    log = recorder.log[:moment]
    synced: set[int] = set()
    lasts = [False] * len(log)
    for index in range(len(log) - 1, -1, -1):
        entry = log[index]
        if isinstance(entry, Sync):
            synced.add(entry.node)
        else:
            lasts[index] = bool(synced.intersection(entry.nodes))
    chance = generator.choice((0.0, 0.2, 0.5, 0.8, 1.0))
    for entry, sure in zip(log, lasts, strict=True):
        if isinstance(entry, Operation) and (sure or generator.random() < chance):
            entry.apply(nodes, None if sure else generator)
    return nodes


def write_out(nodes: dict[int, Node], top: int, target: Path) -> None:
    """Make a real folder of the state."""
    for name, number in nodes[top].entries.items():
        node, path = nodes[number], target / name
        if node.folder:
            path.mkdir()
            write_out(nodes, number, path)
        else:
            path.write_bytes(bytes(node.content))
