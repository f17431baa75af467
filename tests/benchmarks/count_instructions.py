"""Instructions of one inference on an emulated Cortex-A72 and A76: local attention's kernel, its body, full attention.

usage: python tests/benchmarks/count_instructions.py [LENGTH…]      needs apt, cc and a network; kept in build/emulation

Counts, not speed: they say nothing of memory, of caches or of how many instructions a core does at once. QEMU 7.2 is
the newest that Debian builds with plugins; ONNX Runtime 1.31.1 crashes in it, so 1.23.2 is what runs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from edgeformer_devices.emulation import Machine, board, prepare
from edgeformer_devices.emulation.apt import unpack
from edgeformer_devices.emulation.store import kept, key
from edgeformer_devices.remote.emulated import Emulated
from edgeformer_devices.remote.emulated_run import facts_of, runtime_folder
from edgeformer_devices.remote.wheels import fetch, make_site, platform_tags

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / "build" / "emulation"
ONNXRUNTIME = "onnxruntime==1.23.2"
QEMU_PACKAGES = ("qemu-user", "libcapstone4", "libglib2.0-0", "liburing2", "libnuma1", "libgnutls30")
RADIUS = 32
LAYERS, HIDDEN, HEADS, FEED_FORWARD = 2, 128, 4, 256
RUNS = (1, 6)  # the difference leaves out starting Python, loading the model, and the first run

PROGRAM = """
import json, sys
import numpy as np
from edgeformer_runtime import Session
bundle, length, runs = json.loads(sys.argv[1])
with Session.open(bundle, variant="onnx", threads=1) as session:
    ids = np.arange(length).reshape(1, -1) % 60 + 4
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    for _ in range(runs):
        session.run(feeds)
    print(*session.delegation, session.engine, sep="; ")
"""


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
            paths = [old_engine(machine), runtime_folder(CACHE)]
            counting = replace(machine, qemu=qemu)
            for folders in (paths, [kernels, *paths]):  # the first time Python's sources are compiled
                counted(counting, plugin, json.dumps([bundles["local"], 8, 1]), folders)
            for length in lengths:
                full = count(counting, plugin, bundles["full"], length, paths)
                body = count(counting, plugin, bundles["local"], length, paths)
                kernel = count(counting, plugin, bundles["local"], length, [kernels, *paths])
                millions = " | ".join(f"{value / 1e6:.1f} M" for value in (full, body, kernel))
                ratios = f"{body / kernel:.2f} | {full / kernel:.2f}"
                print(f"| {machine.board.cpu} | {length} | {millions} | {ratios} |", flush=True)


def log(message: str) -> None:
    """Progress, out of the table's way."""
    print(message, file=sys.stderr)


def counting_qemu() -> Path:
    """Debian bookworm's qemu-aarch64, linked dynamically, with plugins, as a script that finds its libraries."""

    def make(into: Path) -> None:
        log("download QEMU of Debian bookworm")
        unpack(QEMU_PACKAGES, suite="bookworm", architecture="amd64", into=into)
        script = into / "qemu-counting"
        script.write_text(
            '#!/bin/sh\nhere=$(dirname "$0")\n'
            "export LD_LIBRARY_PATH=$here/usr/lib/x86_64-linux-gnu:$here/lib/x86_64-linux-gnu\n"
            'exec "$here/usr/bin/qemu-aarch64" -U LD_LIBRARY_PATH "$@"\n'
        )
        script.chmod(0o755)

    return kept(CACHE, "qemu-counting", make) / "qemu-counting"


def build_plugin() -> Path:
    """The compiled plugin."""
    source = HERE / "insn_plugin.c"

    def make(into: Path) -> None:
        command = ["cc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(into / "insn.so"), str(source)]
        subprocess.run(command, check=True)

    return kept(CACHE, f"plugin-{key(source.read_text())}", make) / "insn.so"


def newest(pattern: str) -> Path:
    """The folder that the kernels' test left."""
    found = sorted(CACHE.resolve().glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        sys.exit("no kernels: run pytest tests/integration/test_emulated_kernels.py first, which builds them")
    return found[-1]


def old_engine(machine: Machine) -> Path:
    """ONNX Runtime as QEMU 7.2 can run it."""
    remote = Emulated("counting", machine)
    facts = facts_of(remote)
    base = make_site(CACHE, ["onnxruntime"], facts, "counting", log)
    wanted = [*base.requirements, ONNXRUNTIME]

    def make(into: Path) -> None:
        fetch(into, wanted, facts, platform_tags(facts, "counting"), "counting")

    return kept(CACHE, f"site-counting-{key(wanted)}", make)


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


def count(machine: Machine, plugin: Path, bundle: str, length: int, paths: list[Path]) -> float:
    """Instructions of one inference."""
    few, many = (counted(machine, plugin, json.dumps([bundle, length, runs]), paths) for runs in RUNS)
    return (many - few) / (RUNS[1] - RUNS[0])


def counted(machine: Machine, plugin: Path, arguments: str, paths: list[Path]) -> int:
    """Instructions of a whole program."""
    variables = {"QEMU_PLUGIN": f"file={plugin}", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as cache:
        environment = machine.environment(paths, {**variables, "EDGEFORMER_CACHE": cache})
        environment["PATH"] = os.environ["PATH"]
        command = machine.command(["-c", PROGRAM, arguments])
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"^instructions (\d+)$", done.stderr, re.MULTILINE)
    if done.returncode or found is None:
        sys.exit(f"{' '.join(command[:4])} …: exit status {done.returncode}\n{done.stderr[-2000:]}")
    log(done.stdout.strip())
    return int(found[1])


if __name__ == "__main__":
    main()
