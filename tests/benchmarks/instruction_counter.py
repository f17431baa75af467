"""Counting the instructions of an inference on an emulated core, with QEMU's plugin interface.

Counts, not speed: they say nothing of memory, of caches or of how many instructions a core does at once. QEMU 7.2 is
the newest that Debian builds with plugins; the newest engines crash in it, so older releases are what runs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from edgeformer_devices.emulation import Machine
from edgeformer_devices.emulation.apt import unpack
from edgeformer_devices.emulation.store import kept, key
from edgeformer_devices.remote.emulated import Emulated
from edgeformer_devices.remote.emulated_run import facts_of
from edgeformer_devices.remote.wheels import fetch, make_site, platform_tags

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / "build" / "emulation"
ONNXRUNTIME = "onnxruntime==1.23.2"
ENGINES = {"onnxruntime": ONNXRUNTIME, "litert": "ai-edge-litert==2.1.0"}  # by the runtime's extra
QEMU_PACKAGES = ("qemu-user", "libcapstone4", "libglib2.0-0", "liburing2", "libnuma1", "libgnutls30")
RUNS = (1, 6)  # the difference leaves out starting Python, loading the model, and the first run

PROGRAM = """
import json, sys
import numpy as np
from edgeformer_runtime import Session
bundle, variant, length, runs = json.loads(sys.argv[1])
with Session.open(bundle, variant=variant, threads=1) as session:
    ids = np.arange(length).reshape(1, -1) % 60 + 4
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    for _ in range(runs):
        session.run(feeds)
    print(*session.delegation, session.engine, sep="; ")
"""


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


def engine(machine: Machine, extra: str = "onnxruntime") -> Path:
    """A folder of the engine's wheels and of what it needs, as QEMU 7.2 can run them."""
    remote = Emulated("counting", machine)
    facts = facts_of(remote)
    base = make_site(CACHE, [extra], facts, "counting", log)
    wanted = [*base.requirements, ENGINES[extra]]

    def make(into: Path) -> None:
        fetch(into, wanted, facts, platform_tags(facts, "counting"), "counting")

    return kept(CACHE, f"site-counting-{key(wanted)}", make)


def count(machine: Machine, plugin: Path, bundle: str, variant: str, length: int, paths: list[Path]) -> float:
    """Instructions of one inference."""
    few, many = (counted(machine, plugin, json.dumps([bundle, variant, length, runs]), paths) for runs in RUNS)
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
