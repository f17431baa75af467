"""Property-based cases: any value in any place of a manifest, and texts of any kind, give a manifest or our error."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from manifest_cases import TEXT, check, data, places, put
from section import main, peak_bytes, report

MAX_S, MAX_BYTES = 10.0, 256 << 20
PORTION = 10_000

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
TELLING = st.sampled_from(
    ["", ".", "..", "../x", "/x", "a/b", "CON", "x\0", "\ud800", "e\u0301", "A" * 300, "batch", "sequence", 0, -1, 1,
     2**31, 2**63, 10**19, 10**40, 1e308, 0.5, True, None, [], {}, [[]], [None], {"": 0}, "0" * 64, "onnx", "1.19", ...]
)  # fmt: skip
JSON = st.recursive(
    SCALARS | TELLING.filter(lambda value: value is not ...),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PLACES = st.sampled_from(places(data()))
SLICES = st.tuples(st.integers(0, len(TEXT)), st.integers(0, 40), st.binary(max_size=20) | st.text(max_size=20))


def one_value(case: tuple[Any, Any]) -> str:
    return json.dumps(put(*case))


def cut_text(case: tuple[int, int, Any]) -> bytes:
    start, length, new = case
    raw = TEXT.encode()
    middle = new.encode("utf-8", "surrogatepass") if isinstance(new, str) else new
    return raw[:start] + middle + raw[start + length :]


TEXTS = st.one_of(
    st.tuples(PLACES, JSON | TELLING).map(one_value),
    st.tuples(PLACES, TELLING).map(one_value),
    SLICES.map(cut_text),
    JSON.map(json.dumps),
    st.binary(max_size=200),
)


@dataclass
class Portion:
    """What some cases came to; ``slowest_s`` is time of this process, which a busy machine doesn't lengthen."""

    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def try_one(self, text: Any) -> None:
        start = time.process_time()
        try:
            read = check(text)
            self.read += read
            self.refused += not read
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error} for {text!r}"[:500])
        self.slowest_s = max(self.slowest_s, time.process_time() - start)


def portion(start: int, size: int) -> Portion:
    """``size`` cases, others for every ``start``. Hypothesis remembers all cases of a run, so runs are short."""
    result = Portion()
    chosen = settings(
        max_examples=size, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    seed(start)(chosen(given(TEXTS)(lambda text: result.try_one(text))))()
    return result


def run(count: int) -> int:
    """``count`` cases, each within its time and the process within its memory."""
    portion(count, 50)  # hypothesis makes its tables of Unicode, which are no memory of the reader
    before = peak_bytes()
    done = [portion(start, min(PORTION, count - start)) for start in range(0, count, PORTION)]
    failures = [failure for part in done for failure in part.failures]
    read = sum(part.read for part in done)
    tried = read + sum(part.refused for part in done) + len(failures)
    slowest_s = max(part.slowest_s for part in done)
    if slowest_s > MAX_S:
        failures.append(f"a case took {slowest_s:.2f} s: expected at most {MAX_S}")
    grown = peak_bytes() - before
    if grown > MAX_BYTES:
        failures.append(f"the cases took {grown >> 20} MB: expected at most {MAX_BYTES >> 20}")
    if not read:
        failures.append("none of them was a manifest: the cases are too wild to reach the checks behind")
    return report(tried, failures, f"slowest {slowest_s * 1e3:.0f} ms, at most {grown >> 20} MB, {read} read")


if __name__ == "__main__":
    main(run, 100_000)
