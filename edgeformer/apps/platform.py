"""What a platform for apps is: the engines that an app can add there, and the code that its developer pastes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from edgeformer_runtime.bundle.manifest import Manifest, VariantEntry

from .task import Row


@dataclass(frozen=True)
class AppEngine:
    """An engine as an app adds it."""

    name: str  # as the manifest calls it: "litert"
    format: str  # of the variants that it runs
    library: str | None  # as the platform's package manager calls it; None: part of the system
    version: str | None  # the one that is asked for; None: the system's
    size_bytes: int | None  # what it adds to an app; None: not known
    size_source: str  # where the size is from, or why it isn't known


@dataclass(frozen=True)
class Step:
    """Something to add to an app: ``text`` goes into the file or place that ``title`` names."""

    title: str
    text: str


@dataclass(frozen=True)
class Platform:
    """``engines`` are in the order of preference. ``steps`` and ``code`` are for one of them and a bundle's task."""

    name: str
    title: str
    language: str
    engines: tuple[AppEngine, ...]
    kinds: tuple[str, ...]  # of preprocessing, that its runtime has
    whole_bundle: bool  # the app carries the bundle's every file, since what is missing or too much is refused
    gpu: str | None  # how the code asks for the GPU, which float16 variants are for; None: its runtime doesn't
    steps: Callable[[AppEngine], Sequence[Step]]
    code: Callable[[Row, AppEngine], str]

    def engine_for(self, variant: VariantEntry) -> AppEngine | None:
        """The engine that runs ``variant`` here."""
        made_for = (variant.engine, variant.format)
        return next((engine for engine in self.engines if (engine.name, engine.format) == made_for), None)

    def problem(self, variant: VariantEntry) -> str | None:
        """Why ``variant`` doesn't run on this platform; None where it does."""
        engine = self.engine_for(variant)
        if engine is None:
            there = ", ".join(item.name for item in self.engines)
            return f"it is made for {variant.engine}, and {self.title} has {there}"
        if any(graph.states for graph in variant.graphs.values()):
            return "it runs in steps, which the runtime for apps doesn't do yet"
        if engine.version is not None and _older(engine.version, variant.min_engine_version):
            return f"it needs {engine.name} {variant.min_engine_version}, and {engine.library} is at {engine.version}"
        return None

    def running(self, manifest: Manifest) -> list[VariantEntry]:
        """The variants that run here, those of the preferred engine first."""
        order = [engine.name for engine in self.engines]
        found = [item for item in manifest.variants if self.problem(item) is None]
        return sorted(found, key=lambda item: order.index(item.engine))


def _older(version: str, needed: str | None) -> bool:
    """Whether ``version`` is before ``needed``, such as "2.1.0"; "iOS18" says something of the system and not of us."""
    if needed is None or not needed[0].isdigit():
        return False
    pairs = zip_longest(version.split("."), needed.split("."), fillvalue="0")
    found, wanted = zip(*((int(a), int(b)) for a, b in pairs), strict=True)
    return found < wanted
