"""One model in a process of its own, for ``timing.Worker``: its peak memory is then its own, read from /proc outside.

    local_attention_worker.py FILE LENGTH THREADS [LIBRARY]

FILE is an encoder (.onnx, .tflite), or "attention:WAY:RADIUS" for an attention alone. LIBRARY holds the kernels.
The line "ready BYTES" says how much memory was resident before the first run.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attention_graphs
import numpy as np


def resident_bytes() -> int:
    """Memory of this process now."""
    fields = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in fields if line.startswith("VmRSS"))


def forget_peak() -> None:
    """Give free memory back to the system, and let VmHWM start again at what is resident now."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def attention(name: str, length: int, threads: int, library: Path | None) -> Callable[[], object]:
    """An attention alone; ``name``: plain or local, and the radius."""
    way, radius = name.split(":")
    model = attention_graphs.plain("heads") if way == "plain" else attention_graphs.local("heads", *[int(radius)] * 2)
    return attention_graphs.runner(model, "heads", length, threads, library)


def encoder(path: Path, length: int, threads: int, library: Path | None) -> Callable[[], object]:
    """A whole model on one text of ``length`` tokens, nothing masked."""
    ids = np.random.default_rng(0).integers(1000, 20000, (1, length))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    if path.suffix == ".tflite":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=threads)
        signature = interpreter.get_signature_runner(f"seq{length}")
        details = signature.get_input_details()
        inputs = {name: array.astype(details[name]["dtype"]) for name, array in feeds.items()}
        return lambda: signature(**inputs)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if library is not None:
        options.register_custom_ops_library(str(library))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feeds)


def main() -> None:
    """Answer every line on standard input with one timed run."""
    name, length, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    library = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    if name.startswith("attention:"):
        run = attention(name.removeprefix("attention:"), length, threads, library)
        forget_peak()
    else:
        run = encoder(Path(name), length, threads, library)
    print(f"ready {resident_bytes()}", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(f"ms {(time.perf_counter() - start) * 1e3}", flush=True)


if __name__ == "__main__":
    main()
