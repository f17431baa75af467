"""`make reliability`: what was tried, how often, and how often it failed, in one table.

Each section is a program of this folder that prints one line of JSON (section.py), or a file of pytest tests. Two run
at a time. The exit status is 1 when anything failed. With --quick everything runs in small, and what `make test` runs
too is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TIMEOUT_S = 1500


@dataclass(frozen=True)
class Section:
    """``program`` is a file here that takes --count, or a file of tests; counts are for a full and a quick run."""

    title: str
    program: str
    full: int = 0
    quick: int = 0
    least: int = 0  # of tests in a file of tests
    counted: str = ""  # only tests whose names start so count as cases

    @property
    def is_tests(self) -> bool:
        return Path(self.program).name.startswith("test_")


@dataclass(frozen=True)
class Result:
    """A row of the table."""

    section: Section
    count: int
    failures: int
    seconds: float
    note: str
    output: str


# The long ones first: two run at a time.
SECTIONS = (
    Section("coverage-guided manifests (atheris)", "fuzz_coverage.py", 1_000_000, 20_000),
    Section("property-based manifests (hypothesis)", "fuzz_properties.py", 100_000, 1_000),
    Section("installs killed", "kills.py", 1_000, 60),
    Section("mutated models, adapters and rows", "mutated_inputs.py", 2_000, 150),
    Section("power cuts with lost writes", "lost_writes.py", 2_000, 60),
    Section("flipped bits and truncations", "bit_flips.py", 10_000, 400),
    Section("hostile bundles", "../runtime/test_hostile.py", least=60, counted="test_refused"),
    Section("the tests of these tests", "test_interruptions.py", least=6),
    Section("sensor faults", "test_sensor_faults.py", least=200),
    Section("inferences in a row", "endurance.py", 1_000_000, 2_000),
)


def run_section(section: Section, quick: bool) -> Result:
    """Run one section to its end."""
    start = time.monotonic()
    path = (HERE / section.program).resolve()
    if not path.exists():
        return Result(section, 0, 1, 0.0, f"{section.program} is missing", "")
    try:
        count, failures, note, output = _tests(section, path) if section.is_tests else _program(section, path, quick)
    except subprocess.TimeoutExpired:
        count, failures, note, output = 0, 1, f"took longer than {TIMEOUT_S} s", ""
    return Result(section, count, failures, time.monotonic() - start, note, output)


def _program(section: Section, path: Path, quick: bool) -> tuple[int, int, str, str]:
    wanted = section.quick if quick else section.full
    done = _run([sys.executable, str(path), "--count", str(wanted)])
    try:
        found = json.loads(done.stdout.strip().splitlines()[-1])
        count, failures, note = int(found["count"]), int(found["failures"]), str(found.get("note", ""))
    except (ValueError, KeyError, IndexError, TypeError):
        return 0, 1, f"ended with {done.returncode} and no result", done.stdout + done.stderr
    if count < wanted:
        failures, note = failures + 1, f"only {count} of {wanted}; {note}"
    return count, failures + (done.returncode != 0 and failures == 0), note, done.stderr


def _tests(section: Section, path: Path) -> tuple[int, int, str, str]:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.xml")
        options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", f"--junitxml={results}"]
        done = _run([sys.executable, "-m", "pytest", *options, str(path)])
        if not results.exists():
            return 0, 1, f"pytest ended with {done.returncode}", done.stdout + done.stderr
        suite = next(ET.parse(results).iter("testsuite"))
    numbers = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    ran = [case for case in suite.iter("testcase") if case.find("skipped") is None]
    count = sum(str(case.get("name")).startswith(section.counted) for case in ran)
    failed = numbers["failures"] + numbers["errors"]
    if count < section.least:
        return count, failed + 1, f"only {count} tests ran, expected {section.least}", done.stdout
    return count, failed, f"{numbers['skipped']} skipped" if numbers["skipped"] else "", done.stdout


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
    )


def table(results: list[Result]) -> str:
    """The rows, and a line that sums them up."""
    lines = [f"{'count':>9}  {'failed':>6}  {'seconds':>7}  what"]
    for result in results:
        note = f" ({result.note})" if result.note else ""
        lines.append(f"{result.count:9d}  {result.failures:6d}  {result.seconds:7.0f}  {result.section.title}{note}")
    failed = sum(result.failures for result in results)
    total = sum(result.count for result in results)
    lines.append(f"{total:9d}  {failed:6d}  {'':7}  {'all passed' if not failed else 'FAILED'}")
    return "\n".join(lines)


def main() -> int:
    """Run all sections, or those whose titles hold a word; print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything in small")
    parser.add_argument("--only", metavar="WORD", help="sections whose titles hold WORD")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    options = parser.parse_args()
    offered = [section for section in SECTIONS if not (options.quick and section.program.startswith(".."))]
    chosen = [section for section in offered if not options.only or options.only in section.title]
    if not chosen:
        parser.error(f"--only {options.only}: no section has it in its title")

    def run(section: Section) -> Result:
        result = run_section(section, options.quick)
        print(f"{section.title}: {result.count}, {result.failures} failed", file=sys.stderr, flush=True)
        return result

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(run, chosen))
    for result in results:
        if result.failures:
            print(f"---- {result.section.title}\n{result.output[-4000:]}", file=sys.stderr)
    print(table(results))
    return 1 if any(result.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
