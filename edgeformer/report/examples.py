"""``examples`` of report.json: rows of pictures or sounds, with what each model says of them.

of                  "pictures" or "sounds"
rows                at most 12 of the evaluation's: first those of which a variant says otherwise than the uncompressed
                    model, then others, both spread over the labels
rows[].row          its number among the evaluation's rows, from 1
rows[].file         its path from the rows' folder, or its name alone where it lies elsewhere
rows[].target       what the row says, in the form of ``variants.predictions``
rows[].uncompressed, rows[].variants
                    what the models say; null where the outputs held NaN or infinity
rows[].otherwise    names of the variants that name other labels than the uncompressed model; numbers always differ a
                    little, and don't count
samples, otherwise  how many rows there are, and of how many some variant says otherwise
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeformer_runtime.bundle.manifest import TaskSpec

from ..rows.folders import NOUNS
from ..rows.samples import Samples
from ..tasks import get_task
from ..variants.predictions import predictions

if TYPE_CHECKING:
    from ..variants.outcome import Outcome

MOST = 12
_SEED = 0

Said = Mapping[str, Any] | None


def examples(outcome: Outcome) -> dict[str, Any]:
    """What stands above; {rows: null, reason} where there are none."""
    model, samples = outcome.pipeline.uncompressed, outcome.data.evaluation.samples
    before = predictions(model, outcome.compressed[None].reference.uncompressed)
    if before is None:
        return {"rows": None, "reason": "they are of pictures and sounds that get labels or a number"}
    if samples is None:
        return {"rows": None, "reason": "no evaluation rows were given"}
    after = {item.entry.name: item.facts["predictions"] for item in outcome.variants}
    rows = [
        {
            "row": index + 1,
            "file": _name(sample.file, samples),
            "target": _target(model.task, sample.target),
            "uncompressed": before[index],
            "variants": {name: said[index] for name, said in after.items()},
            "otherwise": [name for name, said in after.items() if _labels(said[index]) != _labels(before[index])],
        }
        for index, sample in enumerate(samples.rows)
    ]
    return {
        "of": NOUNS[get_task(model.task).reads],
        "rows": choose(rows),
        "samples": len(rows),
        "otherwise": sum(bool(row["otherwise"]) for row in rows),
    }


def choose(rows: Sequence[Mapping[str, Any]], most: int = MOST) -> list[Mapping[str, Any]]:
    """At most ``most`` of ``rows``, as ``rows`` above are ordered; the same ones every time."""
    seen: Counter[tuple[bool, str]] = Counter()
    ranked: list[tuple[bool, int, Mapping[str, Any]]] = []
    for index in np.random.default_rng(_SEED).permutation(len(rows)):  # files are often sorted by label
        row = rows[index]
        group = (not row["otherwise"], repr(row["target"]))
        seen[group] += 1
        ranked.append((group[0], seen[group], row))
    return [row for *_, row in sorted(ranked, key=lambda item: item[:2])[:most]]


def _labels(said: Said) -> Any:
    return (said or {}).get("labels")


def _target(task: TaskSpec, target: Any) -> Said:
    if target is None:
        return None
    if task.regression:
        return {"value": target}
    return {"labels": [task.labels[index] for index in (target if task.multi_label else (target,))]}


def _name(file: Path | None, samples: Samples) -> str:
    if file is None:
        raise ValueError("a row of a task that reads files has one")
    root = Path(samples.path) if samples.columns is None else Path(samples.path).parent
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    return os.fsencode(name).decode("utf-8", "replace")  # JSON can't hold a name that is no UTF-8
