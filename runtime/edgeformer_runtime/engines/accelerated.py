"""An ONNX Runtime session on an accelerator's provider, with the CPU behind it for what the accelerator refuses.

Nothing falls back in silence: ONNX Runtime's own second try without the provider is switched off, a provider that
didn't start or took nothing is an error, and nodes that other providers run are counted and named.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from ..bundle.manifest import VariantEntry
from ..device.memory import is_out_of_memory
from ..errors import EngineError
from .onnxruntime import input_dtype, session_options
from .placement import Placement, Recorder

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


@dataclass(frozen=True)
class Accelerated:
    """A session whose provider runs at least a part, and what it took to get there."""

    session: Any
    placement: Placement
    seconds: float  # from the file to the end of the first inference, an engine's build included


def open_accelerated(
    ort: Any,
    content: bytes,
    variant: VariantEntry,
    threads: int,
    provider: str,
    options: Mapping[str, str],
    behind: Sequence[str] = (CPU,),
) -> Accelerated:
    """A session of the model file ``content`` on ``provider``, with the providers ``behind`` it; raises EngineError.

    Given as bytes: TensorRT's provider puts a file's name into the names of the engines that it keeps, and the name of
    a private copy differs each time.
    """
    name = Path(variant.path).name
    made = session_options(ort, threads, stop_spinning=True)
    recorder = Recorder(ort)
    try:
        recorder.prepare(made)
        start = time.perf_counter()
        try:
            session = ort.InferenceSession(
                content, sess_options=made, providers=[(provider, dict(options)), *behind], enable_fallback=0
            )
            session.disable_fallback()
            _check_started(session, provider)
            feeds = first_feeds(session, variant)
            session.run(None, feeds)
        except EngineError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions have no common base below Exception
            what = "out of memory in" if is_out_of_memory(error) else "refused by"
            raise EngineError(f"{name} was {what} {provider} of onnxruntime {ort.__version__}: {error}") from error
        seconds = time.perf_counter() - start
        placement = recorder.read(session, feeds)
    finally:
        recorder.close()
    if not placement.nodes.get(provider):
        raise EngineError(f"{provider} took no node of {name}: " + "; ".join(placement.notes(provider)))
    return Accelerated(session, placement, seconds)


def _check_started(session: Any, provider: str) -> None:
    active: List[str] = session.get_providers()
    if provider not in active:
        raise EngineError(
            f"{provider} did not start, ONNX Runtime took {', '.join(active)}: check that the CUDA, cuDNN and TensorRT "
            "libraries of this system are the ones that onnxruntime was built for"
        )


def first_feeds(session: Any, variant: VariantEntry) -> Dict[str, np.ndarray]:
    """One valid inference: the usual shapes of the variant's profiles, else 1 for every dimension that varies.

    All ones: a token that every vocabulary has, attended to.
    """
    profiles = variant.tensorrt.profiles if variant.tensorrt is not None else {}
    feeds: Dict[str, np.ndarray] = {}
    for item in session.get_inputs():
        shape: Tuple[int, ...] = tuple(size if isinstance(size, int) and size > 0 else 1 for size in item.shape)
        usual = profiles[item.name].opt if item.name in profiles else shape
        feeds[item.name] = np.ones(usual, dtype=input_dtype(variant.name, item))
    return feeds
