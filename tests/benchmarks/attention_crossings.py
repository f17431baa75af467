"""Where local attention's body overtakes full attention, and what its blocks' size costs: the rules' constants.

usage: python tests/benchmarks/attention_crossings.py      six layers (12 heads of 64, fp32), 2 threads, no kernel

``dense_below`` (edgeformer/passes/local_attention.py) picks full attention below DENSE_RADII radii and DENSE_POSITIONS
positions; the blocks' size is chosen in the exporter's function_blocks.py. Both follow from these tables.
"""

from __future__ import annotations

from statistics import median

import attention_graphs as graphs
from timing import THREADS, interleaved, machine

from edgeformer.passes.local_attention import DENSE_POSITIONS, DENSE_RADII
from edgeformer_converters.onnx import function_blocks

LAYERS = 6
RADII = (16, 32, 64, 128, 256)
AROUND = (0.6, 0.8, 1.0, 1.25, 1.6)  # times the length at which the rule changes over
BLOCKS = {128: (32, 48, 64, 96, 128), 256: (32, 64, 96, 128)}
LONG = 4096


def main() -> None:
    """Print both tables."""
    print(f"{machine()}\n\nbody / full attention, time; below 1 the body is faster")
    print("| radius | length | of the rule's | without fusion, masked | fused, masked |\n|---|---|---|---|---|")
    for radius in RADII:
        for factor in AROUND:
            print_crossing(radius, factor)
    print(f"\n{LONG} tokens: ms of the body by the size of its blocks")
    for radius, sizes in BLOCKS.items():
        print_blocks(radius, sizes)


def print_crossing(radius: int, factor: float) -> None:
    """One length, a multiple of 32."""
    length = round((DENSE_RADII * radius + DENSE_POSITIONS) * factor / 32) * 32
    models = {
        "body": graphs.local("rows", radius, radius),
        "unfused": graphs.plain("rows", masked=True),
        "fused": graphs.fused("rows", masked=True),
    }
    candidates = {
        name: graphs.runner(graphs.stacked(model, LAYERS), "rows", length, THREADS) for name, model in models.items()
    }
    rounds = interleaved(candidates, warm_up=2, rounds_wanted=7, runs=max(1, 512 // length))
    ratio = {
        name: median(a / b for a, b in zip(rounds["body"], rounds[name], strict=True)) for name in ("unfused", "fused")
    }
    print(f"| {radius} | {length} | {factor:.2f} | {ratio['unfused']:.2f} | {ratio['fused']:.2f} |", flush=True)


def print_blocks(radius: int, sizes: tuple[int, ...]) -> None:
    """The same window with blocks of each size; the exporter's own choice is what its two limits leave."""
    limits = function_blocks._SMALLEST_BLOCK, function_blocks._LARGEST_BLOCK
    candidates = {}
    try:
        for size in sizes:
            function_blocks._SMALLEST_BLOCK = function_blocks._LARGEST_BLOCK = size
            candidates[str(size)] = graphs.runner(graphs.local("heads", radius, radius), "heads", LONG, THREADS)
    finally:
        function_blocks._SMALLEST_BLOCK, function_blocks._LARGEST_BLOCK = limits
    rounds = interleaved(candidates, warm_up=1, rounds_wanted=9, runs=1)
    print(f"radius {radius}: " + ", ".join(f"{name} {median(rounds[name]):.1f}" for name in candidates), flush=True)


if __name__ == "__main__":
    main()
