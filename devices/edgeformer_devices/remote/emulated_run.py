"""A bundle on an emulated board: does every variant run, and does it compute what it computes on this machine?

Times of an emulated program say nothing about the board, so none is reported.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.errors import EdgeformerError
from edgeformer_runtime.variants.feeds import synthetic_feeds, typical_sizes

from ..emulation.store import kept, key
from .base import Progress, RemoteError, run_local
from .bench import Options, read_report
from .emulated import PYTHON, Emulated
from .facts import AGENT, PACKAGES, Facts, read_json
from .install import choose_engines, write_runtime
from .wheels import make_site, runtime_files

_PROGRAM = Path(__file__).parent / "outputs_program.py"
_TIMEOUT_S = 1800.0
_MAX_BYTES = 16 * 2**20
MAX_DIFFERENCE = 0.05  # of the largest output: integer kernels of two architectures round differently
NO_LATENCY = "emulated: an emulated program's times say nothing about the board's"
TEXTS = (
    "A good film.", "The plot is thin, and the actors know it.", "", "Shares rise as bank reports record profit.",
    "It rained for three days; the match was played on the fourth, before an empty stadium.", "zürich 東京 🙂",
    "Why would anybody want to see this twice?", "never again " * 12,
)  # fmt: skip


@dataclass(frozen=True)
class VariantOutputs:
    """One variant on the board and here. Differences are of outputs over all inputs; None where one side has none."""

    variant: str
    ran: bool
    engine: str | None
    engine_here: str | None
    max_difference: float | None = None  # largest absolute one
    max_relative_difference: float | None = None  # that, as a share of the largest absolute output here
    cosine_min: float | None = None  # of one input
    agreement: float | None = None  # share of equal largest outputs, along the last axis
    benchmark_ran: bool = False
    failed: bool = False  # an engine there takes it, and then it fails, or gives something else than numbers
    reason: str = ""

    @property
    def equal(self) -> bool | None:
        """Whether the board computes the same, within MAX_DIFFERENCE; None where it couldn't be compared."""
        if self.failed:
            return False
        return None if self.max_relative_difference is None else self.max_relative_difference <= MAX_DIFFERENCE


@dataclass(frozen=True)
class EmulatedRun:
    """What was found on an emulated board. It has no latencies, and is no Report."""

    address: str
    machine: str
    note: str
    bundle_name: str
    bundle_digest: str
    inputs: int
    variants: tuple[VariantOutputs, ...]
    missing: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """At least one variant ran, none failed, and none that was compared differs."""
        return any(item.ran for item in self.variants) and all(item.equal is not False for item in self.variants)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, with the reasons for what is null."""
        rows = [{**asdict(item), "equal": item.equal} for item in self.variants]
        reasons = dict.fromkeys(("latency_ms", "power", "peak_rss_bytes", "temperature_c"), NO_LATENCY)
        return {
            "emulated": True,
            "report_version": None,
            **asdict(self),
            "variants": rows,
            "passed": self.passed,
            "max_difference": MAX_DIFFERENCE,
            **dict.fromkeys(reasons, None),
            "reasons": reasons,
        }


def run_emulated(
    bundle: Bundle, remote: Emulated, options: Options, cache: Path, progress: Progress, *, benchmark: bool = True
) -> EmulatedRun:
    """Run and compare every variant that the board's engines take, or the one that ``options`` name.

    ``benchmark`` False leaves out that `edgeformer-run bench` itself works there.
    """
    facts = facts_of(remote)
    engines = choose_engines(bundle.manifest, options.variant, options.engine, facts)
    if not engines:
        raise RemoteError(f"{remote.address}: an emulated board has no engine of its own: choose one with --engine")
    site = make_site(cache, engines, facts, remote.address, progress)
    paths = [runtime_folder(cache), site.folder]
    feeds = make_feeds(bundle)
    names = [entry.name for entry in bundle.manifest.variants if options.variant in ("auto", entry.name)]
    progress(f"run {', '.join(names)} on {remote.machine.describe()}")
    request = {"bundle": str(bundle.path), "variants": names, "threads": options.threads or 1, "feeds": feeds}
    board = outputs_there(remote, request, paths)
    progress("run the same here")
    here = outputs_here({**request, "variants": [name for name in names if "outputs" in board[name]]})
    rows: list[VariantOutputs] = []
    for name in names:
        row = compare(name, board[name], here.get(name))
        tried = any(item.benchmark_ran for item in rows)  # once is enough: it takes half a minute
        if row.ran and benchmark and not tried:
            row = _benchmarked(row, bundle, remote, options, paths, progress)
        rows.append(row)
    return EmulatedRun(
        remote.address, remote.machine.describe(), remote.machine.board.note, bundle.manifest.name, bundle.digest,
        len(feeds), tuple(rows), site.missing,
    )  # fmt: skip


def facts_of(remote: Emulated) -> Facts:
    """What the board's Python says of itself; raises RemoteError."""
    asked = json.dumps({"folder": "/tmp", "packages": PACKAGES})
    done = remote.execute([PYTHON, str(AGENT), "facts", asked], timeout_s=120)
    if done.status != 0:
        raise RemoteError(f"{remote.address}: its Python doesn't start: {done.last_lines()}")
    return Facts.from_answer(read_json(done.stdout, remote.address, limit=_MAX_BYTES), remote.address)


def runtime_folder(cache: Path) -> Path:
    """Our device package, as a wheel unpacks it."""
    content = {path: data.hex() for path, data in runtime_files()}
    return kept(cache, f"runtime-{key(content)}", write_runtime)


def make_feeds(bundle: Bundle) -> list[dict[str, Any]]:
    """Inputs as plain lists: the texts above where the bundle takes texts alone, else arrays of three lengths."""
    manifest = bundle.manifest
    preprocess = manifest.text if len(manifest.preprocess) == 1 else None
    if preprocess is None:
        longest = typical_sizes(manifest, manifest.variants)
        sizes = [{name: max(1, size * part // 4) for name, size in longest.items()} for part in (1, 2, 4)]
        return [_plain(synthetic_feeds(manifest.inputs, item)) for item in sizes]
    from edgeformer_runtime.preprocess.text import TextEncoder

    encoder = TextEncoder(bundle.file(preprocess.tokenizer), preprocess, manifest.inputs)
    second = None if preprocess.single else TEXTS[4]
    return [_plain(encoder.encode(text, second).feeds) for text in TEXTS if text or preprocess.single]


def _plain(feeds: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    return {name: array.tolist() for name, array in feeds.items()}


def outputs_there(remote: Emulated, request: Mapping[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """What the program of outputs_program.py prints on the board, by variant; raises RemoteError."""
    with _request_file(request) as file:
        done = remote.execute([PYTHON, str(_PROGRAM), file], timeout_s=_TIMEOUT_S, paths=paths)
    if done.status != 0:
        raise RemoteError(f"{remote.address}: the program ended with {done.status}: {done.last_lines()}")
    found = read_json(done.stdout, remote.address, limit=_MAX_BYTES)
    if not isinstance(found, dict) or not all(isinstance(found.get(name), dict) for name in request["variants"]):
        raise RemoteError(f"{remote.address}: its program gave an answer of another form")
    return found


def outputs_here(request: Mapping[str, Any]) -> dict[str, Any]:
    """The same program on this machine's Python, in a process of its own."""
    if not request["variants"]:
        return {}
    with _request_file(request) as file:
        done = run_local([sys.executable, str(_PROGRAM), file], timeout_s=_TIMEOUT_S, what="this machine")
    found = read_json(done.stdout, "this machine", limit=_MAX_BYTES) if done.status == 0 else {}
    return dict(found)


@contextmanager
def _request_file(request: Mapping[str, Any]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="edgeformer-inputs-") as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        yield str(path)


def compare(name: str, board: Mapping[str, Any], here: Mapping[str, Any] | None) -> VariantOutputs:
    """Outputs of one variant on the board with those here."""
    if "outputs" not in board:
        failed = board.get("usable") is True
        return VariantOutputs(name, False, None, None, failed=failed, reason=str(board.get("error", "no answer")))
    if here is None or "outputs" not in here:
        why = (here or {}).get("error", "it doesn't run on this machine")
        return VariantOutputs(name, True, str(board["engine"]), None, reason=f"not compared: {why}")
    pairs = list(zip(_vectors(board["outputs"]), _vectors(here["outputs"]), strict=True))
    if not all(a.shape == b.shape and np.isfinite(a).all() for a, b in pairs):
        return VariantOutputs(name, True, str(board["engine"]), str(here["engine"]), failed=True,
                              reason="shapes differ, or an output isn't finite")  # fmt: skip
    difference = max(float(np.abs(a - b).max(initial=0)) for a, b in pairs)
    largest = max(float(np.abs(b).max(initial=0)) for _, b in pairs)
    cosines = [_cosine(a.ravel(), b.ravel()) for a, b in pairs]
    equal = [a.argmax(-1) == b.argmax(-1) for a, b in pairs]
    return VariantOutputs(
        name,
        True,
        str(board["engine"]),
        str(here["engine"]),
        max_difference=difference,
        max_relative_difference=difference / largest if largest else difference,
        cosine_min=min(cosines),
        agreement=float(np.mean(np.concatenate([np.ravel(item) for item in equal]))),
    )


def _vectors(outputs: Sequence[Mapping[str, Any]]) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(row[name], np.float64) for row in outputs for name in sorted(row)]


def _cosine(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else float(np.array_equal(a, b))


def _benchmarked(
    row: VariantOutputs, bundle: Bundle, remote: Emulated, options: Options, paths: Sequence[Path], progress: Progress
) -> VariantOutputs:
    """Whether `edgeformer-run bench` itself works there; its figures are dropped."""
    progress(f"edgeformer-run bench, {row.variant}: that it works; its times mean nothing")
    asked = replace(options, variant=row.variant, threads=options.threads or 1, quick=True, runs=options.runs or 5)
    command = [PYTHON, "-m", "edgeformer_runtime", "bench", str(bundle.path), "--json", "-", *asked.arguments()]
    done = remote.execute(command, timeout_s=_TIMEOUT_S, paths=paths)
    try:
        read_report(done, remote.address, bundle.digest)
    except EdgeformerError as error:
        return replace(row, reason=f"edgeformer-run bench: {error}")
    return replace(row, benchmark_ran=True)


__all__ = ["EmulatedRun", "VariantOutputs", "compare", "make_feeds", "outputs_here", "run_emulated"]
