"""Instructions of one inference on an emulated Cortex-A72 and A76: local attention's kernel, its body, full attention.

usage: python tests/benchmarks/count_instructions.py [LENGTH…]      needs apt, cc and a network; kept in build/emulation

What the counts mean, and what they don't: see instruction_counter.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from instruction_counter import CACHE, ONNXRUNTIME, build_plugin, count, counted, counting_qemu, engine, log

from edgeformer_devices.emulation import board, prepare
from edgeformer_devices.remote.emulated_run import runtime_folder

RADIUS = 32
LAYERS, HIDDEN, HEADS, FEED_FORWARD = 2, 128, 4, 256


def main() -> None:
    """Print a Markdown table."""
    lengths = [int(text) for text in sys.argv[1:]] or [128, 512, 1024]
    qemu, plugin = counting_qemu(), build_plugin()
    with tempfile.TemporaryDirectory() as work:
        bundles = make_bundles(Path(work), max(lengths))
        kernels = newest("kernels-*/edgeformer_kernels").parent
        print(f"{LAYERS} blocks, {HIDDEN} wide, {HEADS} heads, float32, radius {RADIUS}; {ONNXRUNTIME}, one thread")
        print("| core | length | full attention | body | kernel | body / kernel | full / kernel |")
        print("|---|---|---|---|---|---|---|")
        for name in ("raspberry-pi-4", "raspberry-pi-5"):
            machine = prepare(board(name), cache=CACHE, progress=log)
            paths = [engine(machine), runtime_folder(CACHE)]
            counting = replace(machine, qemu=qemu)
            for folders in (paths, [kernels, *paths]):  # the first time Python's sources are compiled
                counted(counting, plugin, json.dumps([bundles["local"], "onnx", 8, 1]), folders)
            for length in lengths:
                full = count(counting, plugin, bundles["full"], "onnx", length, paths)
                body = count(counting, plugin, bundles["local"], "onnx", length, paths)
                kernel = count(counting, plugin, bundles["local"], "onnx", length, [kernels, *paths])
                millions = " | ".join(f"{value / 1e6:.1f} M" for value in (full, body, kernel))
                ratios = f"{body / kernel:.2f} | {full / kernel:.2f}"
                print(f"| {machine.board.cpu} | {length} | {millions} | {ratios} |", flush=True)


def newest(pattern: str) -> Path:
    """The folder that the kernels' test left."""
    found = sorted(CACHE.resolve().glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit("no kernels: run pytest tests/integration/test_emulated_kernels.py first, which builds them")
    return found[-1]


def make_bundles(work: Path, longest: int) -> dict[str, str]:
    """The same random encoder with full and with local attention."""
    import torch
    import transformers

    import edgeformer as ef

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=64, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=FEED_FORWARD, max_position_embeddings=longest, initializer_range=0.05,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(work / "model")
    steps = {
        "full": "version = 1\n",
        "local": f'version = 1\n[[steps]]\npass = "local_attention"\nradius = {RADIUS}\ndense_below = 0\n',
    }
    made = {}
    for name, text in steps.items():
        recipe = work / f"{name}.toml"
        recipe.write_text(text)
        ef.compile(work / "model", output=work / name, recipe=str(recipe), formats=["onnx"])
        made[name] = str(work / name)
    return made


if __name__ == "__main__":
    main()
