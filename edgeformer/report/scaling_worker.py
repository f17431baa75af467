"""One point of a scaling report, in a process of its own: BUNDLE VARIANT TOKENS THREADS. Prints one line of JSON."""

from __future__ import annotations

import json
import statistics
import sys
from functools import partial
from pathlib import Path

from edgeformer_runtime import Session
from edgeformer_runtime.bundle.manifest import SEQUENCE
from edgeformer_runtime.device.facts import peak_rss_bytes
from edgeformer_runtime.errors import EdgeformerError
from edgeformer_runtime.measuring.timing import Amount, timed
from edgeformer_runtime.variants.feeds import synthetic_feeds

_AMOUNT = Amount(least_runs=3, most_runs=50, most_s=3.0)


def main() -> int:
    """Exit status 1, with the reason as the last line of standard error, where the variant doesn't run."""
    path, variant, tokens, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    try:
        with Session.open(path, variant=variant, threads=threads, self_check="never") as session:
            feeds = synthetic_feeds(session.manifest.inputs, {SEQUENCE: tokens})
            resident = _resident_bytes()
            session.run(feeds)
            times = timed(partial(session.run, feeds), _AMOUNT).latencies_ms
            engine = session.engine
    except EdgeformerError as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 1
    found = {"runs": len(times), "latency_ms": statistics.median(times), "peak_bytes": peak_rss_bytes()}
    print(json.dumps({**found, "resident_bytes": resident, "engine": engine}))
    return 0


def _resident_bytes() -> int | None:
    """Memory of this process now; None where the system doesn't say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)


if __name__ == "__main__":
    sys.exit(main())
