"""Does this engine, on this machine, give the results that were verified when the bundle was made?

Some engines load a file and silently return wrong numbers. So a variant first answers the golden rows of its bundle; an
answer that differs by more than the tolerance stated there means that the variant is refused on this engine. A pass is
remembered for this bundle, engine and CPU.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..bundle.bundle import Bundle
from ..bundle.golden import GOLDEN_NAME, Golden, GoldenVariant, Row, read_golden
from ..device.facts import DeviceFacts, probe
from ..errors import EngineError, InputError, RuntimeBundleError
from ..files.cache import read_entry, write_entry
from ..preprocess.registry import Encoder
from .graphs import Runner

MODES = ("first", "always", "never")
_CACHE_NAME = "self-check.json"
_MAX_REMEMBERED = 500
# Of places where one number clearly leads, so many must lead in the answer too.
DECISIVE_SHARE = 0.98
_DECISIVE_SIGMAS = 6.0


@dataclass(frozen=True)
class SelfCheck:
    """How a self-check ended, in words for a report; a failed one is an EngineError instead.

    ``status``: "passed", "passed before", "off" or "nothing to compare with". ``similarity`` is the least one of the
    rows, ``first_inference_ms`` what the first of them took; both None where none was run.
    """

    status: str
    text: str
    similarity: Optional[float] = None
    first_inference_ms: Optional[float] = None


def self_check(bundle: Bundle, runner: Runner, engine_detail: Optional[str], mode: str = "first") -> SelfCheck:
    """Compare a loaded variant with its golden rows; raises EngineError when it gives wrong results.

    ``engine_detail``: what decides results beside the engine's label (see ``Availability.detail``). ``mode``: "first"
    checks once a bundle, engine and CPU; "always" each time; "never" not at all.
    """
    if mode not in MODES:
        raise InputError(f"self_check {mode!r}: expected one of {', '.join(MODES)}")
    if mode == "never":
        return SelfCheck("off", "self-check: switched off")
    golden = read_golden(bundle)
    name = runner.variant.name
    if golden is None or name not in golden.variants:
        return SelfCheck("nothing to compare with", f"self-check: none: the bundle holds no {GOLDEN_NAME} for {name!r}")
    key = _key(bundle.digest, name, runner.label, engine_detail, probe())
    if mode == "first" and (read_entry(_CACHE_NAME) or {}).get(key) is True:
        return SelfCheck("passed before", "self-check: passed on this machine before")
    found = _compare(runner, golden, golden.variants[name])
    _remember(key)
    return found


def check_preprocessing(golden: Optional[Golden], encoder: Encoder) -> None:
    """Raise EngineError where a golden text gives other inputs here than when the bundle was made."""
    if golden is None:
        return
    for index, (row, text) in enumerate(zip(golden.rows, golden.texts)):
        if text is None:
            continue
        made = encoder.encode_row((text.text, text.second), text.prompt).feeds
        different = [key for key in made if not np.array_equal(made[key], row.get(key, np.empty(0)))]
        if different:
            raise EngineError(
                f"{GOLDEN_NAME}: row {index}: the text {text.text[:40]!r} gives other {', '.join(different)} here than "
                "when the bundle was made: the package tokenizers reads its tokenizer.json differently: install "
                "another release of it"
            )


def _compare(runner: Runner, golden: Golden, expected: GoldenVariant) -> SelfCheck:
    start = time.perf_counter()
    answers: List[Row] = []
    first_ms = 0.0
    for row in golden.rows:
        try:
            answers.append(runner.run(row))
        except InputError as error:
            raise RuntimeBundleError(f"{GOLDEN_NAME}: a row doesn't fit the variant's inputs: {error}") from error
        if len(answers) == 1:
            first_ms = (time.perf_counter() - start) * 1e3
    found = similarities(answers, expected.outputs)
    least, needed = min(found), expected.similarity_min
    if not least >= needed:
        raise _wrong(runner, f"similarity {least:.4f} with the verified outputs, {needed:.4f} is needed", expected)
    agreeing, decisive = _decisions(answers, expected, needed)
    if agreeing < DECISIVE_SHARE * decisive:
        raise _wrong(runner, f"of {decisive} clear decisions in the verified outputs it makes {agreeing}", expected)
    text = (
        f"self-check: passed: {len(answers)} rows, least similarity {least:.6f} with the verified outputs, "
        f"{needed:.4f} needed; {agreeing} of {decisive} clear decisions equal"
    )
    return SelfCheck("passed", text, least, first_ms)


def _wrong(runner: Runner, found: str, expected: GoldenVariant) -> EngineError:
    return EngineError(
        f"variant {runner.variant.name!r} on {runner.label}: self-check failed: this engine gives wrong results "
        f"for this file: {found} (they were made by {expected.executed_by}). Use another variant or another engine"
    )


def similarities(answers: Sequence[Row], expected: Sequence[Row]) -> List[float]:
    """For each row 1 - |a - b|² / (2 · max(|a| |b|, m²)), with m the median length of the expected rows.

    The measure of the compiler's verification: the cosine, less what lengths differ by, and for a row near zero the
    error counts against the usual length. -1 where something isn't finite or has another shape.
    """
    pairs = [(_vector(a, b), _vector(b, b)) for a, b in zip(answers, expected)]
    usual = float(np.median([np.linalg.norm(b) for _, b in pairs])) if pairs else 0.0
    return [_similarity(a, b, usual) for a, b in pairs]


def _similarity(a: np.ndarray, b: np.ndarray, usual: float) -> float:
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return -1.0
    error = float(np.square(a - b).sum())
    scale = max(float(np.linalg.norm(a) * np.linalg.norm(b)), usual**2)
    if error == 0:
        return 1.0
    return max(-1.0, 1 - error / (2 * scale)) if scale else -1.0


def _vector(row: Row, names: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(row[name], np.float64).reshape(-1) for name in names])


def _decisions(answers: Sequence[Row], expected: GoldenVariant, needed: float) -> Tuple[int, int]:
    """(how many clear decisions are equal, how many there are).

    A decision is the largest number along an output's last axis. It is clear where it leads by more than six times the
    error of one number that the tolerance would allow were it spread evenly: chance doesn't turn it.
    """
    agreeing = decisive = 0
    for answer, row in zip(answers, expected.outputs):
        reference = _vector(row, row)
        allowed = float(np.linalg.norm(reference)) * np.sqrt(2 * (1 - needed) / reference.size)
        for name, right in row.items():
            if right.shape[-1] < 2:
                continue
            two = np.sort(right.astype(np.float64), axis=-1)[..., -2:]
            clear = two[..., 1] - two[..., 0] > _DECISIVE_SIGMAS * allowed
            equal = np.argmax(np.asarray(answer[name]), axis=-1) == np.argmax(right, axis=-1)
            decisive += int(clear.sum())
            agreeing += int((clear & equal).sum())
    return agreeing, decisive


def _key(digest: str, variant: str, label: str, detail: Optional[str], device: DeviceFacts) -> str:
    parts = [digest, variant, label, detail, device.machine, device.cpu_model, list(device.cpu_features)]
    return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()


def _remember(key: str) -> None:
    entries: Dict[str, object] = read_entry(_CACHE_NAME) or {}
    entries.pop(key, None)
    kept = dict(list(entries.items())[-(_MAX_REMEMBERED - 1) :])
    write_entry(_CACHE_NAME, {**kept, key: True})
