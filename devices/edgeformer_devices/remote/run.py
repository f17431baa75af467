"""`edgeformer bench`: the address decides the way."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from edgeformer_runtime.bundle.bundle import Bundle
from edgeformer_runtime.errors import InputError

from ..emulation import board, default_cache, prepare
from .adb import Adb
from .address import Address
from .base import Progress, Remote, run_local
from .bench import Measured, Options, measure, read_report
from .emulated import Emulated
from .emulated_run import EmulatedRun, run_emulated
from .install import INSTALLED, Installed
from .ssh import Ssh

# What copies to a device that has files of its own; "local" and "emulated" don't.
REMOTES: dict[str, Callable[[Address, Path | None], Remote]] = {
    "ssh": Ssh,
    "adb": lambda address, config: Adb(address),
}


def bench(
    bundle: Bundle,
    address: Address,
    options: Options,
    *,
    cache: Path | None = None,
    ssh_config: Path | None = None,
    progress: Progress = lambda message: None,
) -> Measured | EmulatedRun:
    """Measure ``bundle`` where ``address`` says, or run it on an emulated board.

    Args:
        cache: where wheels, QEMU and roots of boards are kept.
        ssh_config: a file for ssh to read in place of ~/.ssh/config.

    Raises:
        RemoteError: the device can't be reached or used.
        InputError, TargetError: the call is wrong.
    """
    where = cache if cache is not None else default_cache()
    if ssh_config is not None and address.scheme != "ssh":
        raise InputError(f"--ssh-config: {address} is not reached by ssh")
    options.check(bundle.manifest)
    if address.scheme == "local":
        return _measure_here(bundle, options, progress)
    if address.scheme == "emulated":
        if options.way is not None or options.keep:
            raise InputError(f"--on {address}: --install and --keep have no meaning for a board that is emulated here")
        machine = prepare(board(address.host), python=address.python, cache=where, progress=progress)
        return run_emulated(bundle, Emulated(str(address), machine), options, where, progress)
    remote = REMOTES[address.scheme](address, ssh_config)
    try:
        return measure(bundle, remote, options, where, progress)
    finally:
        remote.close()


def _measure_here(bundle: Bundle, options: Options, progress: Progress) -> Measured:
    """On this machine nothing is copied or installed: it has runtime and engines already."""
    if options.engine is not None or options.way is not None or options.keep:
        raise InputError("--on local: --engine, --install and --keep have no meaning here: what is installed here runs")
    command = [sys.executable, "-m", "edgeformer_runtime", "bench", str(bundle.path), "--json", "-"]
    done = run_local(
        [*command, *options.arguments()], timeout_s=options.timeout_s(), what="local", environment=os.environ,
        progress=progress,
    )  # fmt: skip
    report = read_report(done, "local", bundle.digest)
    installed = Installed(INSTALLED, (), sys.executable, (), 0)
    return Measured(report, "local", report.device.python, report.device.machine or "", installed, 0, True)
