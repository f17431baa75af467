"""Running a vendor's tool (``vcgencmd``), with a time limit and a limit on what it may say."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Sequence

from ..errors import SensorError

TIMEOUT_S = 2.0
MAX_OUTPUT_BYTES = 64 * 1024


def run_command(argv: Sequence[str]) -> str:
    """Standard output of a command. Raises SensorError when it is missing, fails, or takes over two seconds."""
    program = shutil.which(argv[0])
    if program is None:
        raise SensorError(f"{argv[0]} isn't installed")
    told = " ".join(argv)
    try:
        # C locale: a comma for the decimal point would read as another number
        done = subprocess.run(
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SensorError(f"{told}: no answer within {TIMEOUT_S:g} s") from None
    except OSError as error:
        raise SensorError(f"{told}: {error.strerror or error}") from error
    if len(done.stdout) > MAX_OUTPUT_BYTES:
        raise SensorError(f"{told}: {len(done.stdout)} bytes of output, expected at most {MAX_OUTPUT_BYTES}")
    text = done.stdout.decode("utf-8", errors="replace")
    if done.returncode != 0:
        raise SensorError(f"{told}: exit status {done.returncode}: {text.strip()[:200] or 'no message'}")
    return text


def no_commands(argv: Sequence[str]) -> str:
    """For a tree that isn't this machine's: commands would tell of another device."""
    raise SensorError(f"{' '.join(argv)}: not run, since another root than / is looked at")
