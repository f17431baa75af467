"""Coverage-guided cases (atheris): bytes that reach new branches of the reader are kept and changed further."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from section import main, report

MAX_S, MAX_MB = 10, 256
HANGS_S = 600
PORTION = 50_000  # of one seed: new branches are rare after that
LEAST_KEPT = 20  # blind cases keep a handful


def fuzz(arguments: list[str]) -> None:
    """Run in a process of its own: libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["edgeformer_runtime"]):
        import edgeformer_runtime.bundle.manifest_reader
        import edgeformer_runtime.bundle.signing
        import edgeformer_runtime.files.paths
        import edgeformer_runtime.files.strict_json
    from manifest_cases import SMALL, TEXT, check, data, places, put

    from edgeformer_runtime.errors import SignatureError

    found, found_small = places(data()), places(SMALL)
    small = json.dumps(SMALL)
    raws = (TEXT.encode(), small.encode())

    def value(provider: atheris.FuzzedDataProvider, depth: int) -> object:
        kind = provider.ConsumeIntInRange(0, 9 if depth < 4 else 6)
        if kind == 0:
            return None
        if kind == 1:
            return provider.ConsumeBool()
        if kind == 2:
            return provider.ConsumeInt(12)
        if kind == 3:
            return provider.ConsumeFloat()
        if kind in (4, 5, 6):
            return provider.ConsumeUnicode(provider.ConsumeIntInRange(0, 40))
        if kind == 7:
            return [value(provider, depth + 1) for _ in range(provider.ConsumeIntInRange(0, 4))]
        if kind == 8:
            size = provider.ConsumeIntInRange(0, 4)
            return {provider.ConsumeUnicode(8): value(provider, depth + 1) for _ in range(size)}
        path = found[provider.ConsumeIntInRange(0, len(found) - 1)]  # a part of another place
        item = data()
        for key in path:
            item = item[key]
        return item

    def timed(content: bytes) -> None:
        start = time.process_time()  # of this process: a busy machine makes no case slow
        one(content)
        if time.process_time() - start > MAX_S:
            raise AssertionError(f"took {time.process_time() - start:.1f} s")

    def one(content: bytes) -> None:
        provider = atheris.FuzzedDataProvider(content)
        kind = provider.ConsumeIntInRange(0, 7)
        if kind == 0:
            check(provider.ConsumeBytes(4000))
        elif kind == 1:
            raw = raws[provider.ConsumeIntInRange(0, 1)]
            start = provider.ConsumeIntInRange(0, len(raw))
            length = provider.ConsumeIntInRange(0, 60)
            check(raw[:start] + provider.ConsumeBytes(60) + raw[start + length :])
        elif kind == 2:
            with contextlib.suppress(SignatureError):
                edgeformer_runtime.bundle.signing.parse_signature(provider.ConsumeBytes(1000))
        else:
            base, paths = (json.loads(small), found_small) if kind > 4 else (data(), found)
            path = paths[provider.ConsumeIntInRange(0, len(paths) - 1)]
            changed = put(path, ... if provider.ConsumeIntInRange(0, 15) == 0 else value(provider, 0), base)
            again = provider.ConsumeIntInRange(0, 7) == 0
            check(json.dumps(changed) if kind < 5 else changed, again)

    atheris.Setup([sys.argv[0], *arguments], timed)
    atheris.Fuzz()


def run(count: int) -> int:
    """Fuzz in two children at a time, with seeds of their own; libFuzzer watches the memory of each case."""
    sizes = [min(PORTION, count - start) for start in range(0, count, PORTION)]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(child, range(1, len(sizes) + 1), sizes))
    failures = [part.failure for part in done if part.failure]
    most = max(part.branches for part in done)
    note = f"{len(done)} seeds, up to {most} branches; each case within {MAX_S} s, each seed within {MAX_MB} MB"
    return report(sum(part.runs for part in done), failures, note)


@dataclass(frozen=True)
class Part:
    """What one child did: its runs, the branches that it reached, and what failed."""

    runs: int
    branches: int
    failure: str


def child(seed: int, count: int) -> Part:
    """Fuzz in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name, "corpus")
        corpus.mkdir()
        limits = [f"-timeout={HANGS_S}", f"-rss_limit_mb={MAX_MB}", "-max_len=4096", f"-artifact_prefix={name}/"]
        command = [sys.executable, __file__, "--child", f"-runs={count}", f"-seed={seed}", *limits, str(corpus)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
        found = re.findall(r"Done (\d+) runs in (\d+) second", done.stderr)
        coverage = re.findall(r"cov: (\d+)", done.stderr)
        kept = len(list(corpus.iterdir()))
    runs = int(found[-1][0]) if found else 0
    failure = ""
    if done.returncode != 0 or runs < count:
        failure = f"ended with {done.returncode} after {runs} of {count}: {done.stderr[-3000:]}"
    elif kept < LEAST_KEPT:
        failure = f"only {kept} inputs reached something new: expected {LEAST_KEPT} and more"
    return Part(runs, int(coverage[-1]) if coverage else 0, failure)


if __name__ == "__main__":
    if "--child" in sys.argv:
        fuzz(sys.argv[sys.argv.index("--child") + 1 :])
    else:
        main(run, 1_000_000)
