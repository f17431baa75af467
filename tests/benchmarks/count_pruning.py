"""Instructions of an inference on an emulated Cortex-A72 and A76: MiniLM in int8, unpruned and pruned, in two engines.

usage: python tests/benchmarks/count_pruning.py    needs bundles that bench_compression.py leaves, apt, cc and a network

What the counts mean, and what they don't: see instruction_counter.py.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from instruction_counter import CACHE, ENGINES, HERE, build_plugin, count, counted, counting_qemu, engine, log

from edgeformer_devices.emulation import board, prepare
from edgeformer_devices.remote.emulated_run import runtime_folder

BUNDLES = HERE.parents[1] / "build" / "bench" / "reviews"
NAMES = ("int8", "pruned-int8")
EXTRAS = {"onnx": "onnxruntime", "tflite": "litert"}
LENGTH = 64


def main() -> None:
    """Print a Markdown table."""
    missing = [name for name in NAMES if not (BUNDLES / name).is_dir()]
    if missing:
        sys.exit(f"{BUNDLES} has no {' and no '.join(missing)}: run python tests/benchmarks/bench_compression.py first")
    qemu, plugin = counting_qemu(), build_plugin()
    print(f"MiniLM, {LENGTH} tokens, int8, one thread; {', '.join(ENGINES.values())}")
    print("| core | variant | unpruned | pruned | fewer by |")
    print("|---|---|---|---|---|")
    for name in ("raspberry-pi-4", "raspberry-pi-5"):
        machine = prepare(board(name), cache=CACHE, progress=log)
        counting = replace(machine, qemu=qemu)
        for variant, extra in EXTRAS.items():
            paths = [engine(machine, extra), runtime_folder(CACHE)]
            bundles = [str(BUNDLES / bundle) for bundle in NAMES]
            counted(counting, plugin, json.dumps([bundles[0], variant, LENGTH, 1]), paths)  # compiles Python's sources
            plain, pruned = (count(counting, plugin, bundle, variant, LENGTH, paths) for bundle in bundles)
            cells = f"{plain / 1e6:.0f} M | {pruned / 1e6:.0f} M | {plain / pruned:.2f}x"
            print(f"| {machine.board.cpu} | {variant} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
