"""`make bench`: every number that the README states, from one run on this machine."""

import os
import subprocess
import sys
import time
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


def main() -> None:
    import bench_bert_base
    import bench_compression
    import bench_local_attention
    import bench_minilm
    from timing import machine

    print(f"{time.strftime('%Y-%m-%d')}: {machine()}")
    bench_minilm.WORK.mkdir(parents=True, exist_ok=True)
    bench_minilm.main()
    bench_bert_base.main()
    bench_compression.main()
    bench_local_attention.main()
    python, command = sys.executable, str(Path(sys.executable).with_name("edgeformer"))
    numpy_alone = import_seconds(python, "-c", "import numpy")
    runtime = import_seconds(python, "-c", "import numpy, edgeformer_runtime")
    print(f"\nedgeformer --help: {import_seconds(command, '--help'):.2f} s")
    print(f"import edgeformer_runtime: {max(runtime - numpy_alone, 0) * 1e3:.0f} ms beyond numpy")


if __name__ == "__main__":
    main()
