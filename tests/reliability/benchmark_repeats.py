"""Do repeated benchmarks agree? p50 of each, in processes of their own, and how far the valid ones lie apart.

    python tests/reliability/benchmark_repeats.py BUNDLE [--count 5] [--variant onnx] [--threads 1]

Exit status: 0 when the valid ones lie within 5 %; 1 when they don't; 2 when fewer than two were valid, so that nothing
can be said: the machine wasn't quiet.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from edgeformer_runtime import Report
from edgeformer_runtime.measuring.steadiness import MAX_SPREAD, spread


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--variant", default="onnx")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    command = [sys.executable, "-m", "edgeformer_runtime", "bench", options.bundle, "--json", "-"]
    command += ["--variant", options.variant, "--threads", str(options.threads)]
    valid = []
    for index in range(options.count):
        text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout
        report = Report.from_json(text)
        p50_ms, bounds = report.latency_ms.p50, report.p50_interval
        between = "" if bounds is None else f" ({bounds.low:.3f} to {bounds.high:.3f})"
        print(f"{index + 1}: p50 {p50_ms:.3f} ms{between}, {'valid' if report.valid else '; '.join(report.invalid)}")
        if report.valid:
            valid.append(p50_ms)
    apart = spread(valid)
    if apart is None:
        print(f"{len(valid)} of {options.count} valid: nothing can be said, run this on a quiet machine")
        return 2
    print(
        f"{len(valid)} of {options.count} valid, {100 * apart:.1f} % apart, at most {100 * MAX_SPREAD:g} % is allowed"
    )
    return 0 if apart <= MAX_SPREAD else 1


if __name__ == "__main__":
    sys.exit(main())
