"""`make bench`: the figures of RESULTS.md, by class of CPU and date, from one run on this machine.

python tests/benchmarks/run.py [PART …]     by default all: minilm, bert_base, compression, kernels, local_attention,
                                            pictures, start_up
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def import_seconds(*arguments: str) -> float:
    """Median wall time of a command over five runs."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return sorted(times)[2]


def start_up() -> None:
    """How long the first answer of a command, and an import on a device, take."""
    python, command = sys.executable, str(Path(sys.executable).with_name("edgeformer"))
    numpy_alone = import_seconds(python, "-c", "import numpy")
    runtime = import_seconds(python, "-c", "import numpy, edgeformer_runtime")
    print(f"\nedgeformer --help: {import_seconds(command, '--help'):.2f} s")
    print(f"import edgeformer_runtime: {max(runtime - numpy_alone, 0) * 1e3:.0f} ms beyond numpy")


def parts() -> dict[str, Callable[[], None]]:
    """The parts by name, in the order in which they run."""
    import bench_bert_base
    import bench_compression
    import bench_kernels
    import bench_local_attention
    import bench_minilm
    import bench_pictures

    return {
        "minilm": bench_minilm.main,
        "bert_base": bench_bert_base.main,
        "compression": bench_compression.main,
        "kernels": bench_kernels.main,
        "local_attention": bench_local_attention.main,
        "pictures": bench_pictures.main,
        "start_up": start_up,
    }


def main(wanted: list[str]) -> None:
    import bench_minilm
    from results import recorded
    from timing import machine

    known = parts()
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"part {unknown[0]!r}: expected some of {', '.join(known)}")
    bench_minilm.WORK.mkdir(parents=True, exist_ok=True)
    for name in wanted or known:
        where = f"{time.strftime('%Y-%m-%d')}: {machine()}"
        print(f"\n=== {name}; {where}", flush=True)
        with recorded(name, where):
            known[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
