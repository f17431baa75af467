"""What runs on the device: only edgeformer_runtime and the engines are installed here.

    python on_device.py BUNDLE BASELINE RESULT.json

Predicts headlines, then times every variant that this machine can run against the uncompressed ONNX baseline,
interleaved round by round so that a change of the machine's load meets all of them.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from edgeformer_runtime import Bundle, EdgeformerError, Session

HEADLINES = (
    "Shares rise as bank reports record quarterly profit",
    "Champions League: late goal sends the home side through",
    "Minister resigns ahead of vote on budget plan",
    "New handset lets users stream video over mobile networks",
    "Director wins best film prize at festival",
)
LENGTH, ROUNDS, RUNS, WARM_UP = 128, 12, 8, 10


def check_nothing_else() -> None:
    """The point of this environment: no training framework, no exporter."""
    present = [name for name in ("torch", "onnx", "transformers", "edgeformer") if importlib.util.find_spec(name)]
    if present:
        raise SystemExit(f"this environment should hold the device wheel alone, but has {', '.join(present)}")


def time_rounds(sessions: dict[str, Session]) -> dict[str, list[float]]:
    """Median milliseconds of each session in each round, at LENGTH tokens, batch 1."""
    feeds = {
        "input_ids": np.random.default_rng(0).integers(1000, 20000, (1, LENGTH)),
        "attention_mask": np.ones((1, LENGTH), np.int64),
    }
    rounds: dict[str, list[float]] = {name: [] for name in sessions}
    for index in range(ROUNDS + 1):
        for name, session in sessions.items():
            samples = []
            for _ in range(RUNS if index else WARM_UP):
                start = time.perf_counter()
                session.run(feeds)
                samples.append((time.perf_counter() - start) * 1e3)
            if index:
                rounds[name].append(statistics.median(samples))
    return rounds


def main(bundle_path: str, baseline_path: str, result_path: str) -> None:
    check_nothing_else()
    with Session.open(bundle_path, threads=2) as session:
        print(f"auto chose {session.variant.name}: {session.engine}")
        for text, result in zip(HEADLINES, session.predict(list(HEADLINES)), strict=True):
            print(f"  {result.label:<14} {result.score:.2f}  {text}")
    sessions = {"baseline": Session.open(baseline_path, variant="onnx", threads=2)}
    skipped: dict[str, str] = {}
    with Bundle.open(bundle_path) as bundle:
        entries = bundle.manifest.variants
    for entry in entries:
        try:
            sessions[entry.name] = Session.open(bundle_path, variant=entry.name, threads=2)
        except EdgeformerError as error:
            skipped[entry.name] = str(error)
    rounds = time_rounds(sessions)
    result = {
        "latency_ms": {name: statistics.median(values) for name, values in rounds.items()},
        "faster_by": {
            name: statistics.median(b / v for b, v in zip(rounds["baseline"], values, strict=True))
            for name, values in rounds.items()
        },
        "skipped": skipped,
    }
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")
    for session in sessions.values():
        session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
