"""Session: a bundle opened for running, on the engine that is fastest on this device."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union

import numpy as np

from . import power, selection
from .bundle import Bundle
from .errors import InputError
from .execution import SEQUENCE
from .manifest import Manifest, VariantEntry
from .measure import (
    MIN_RUNS_FOR_P99,
    check_amount,
    middle_sequence_length,
    synthetic_feeds,
    timed_loop,
    warm_up,
)
from .postprocess import predict
from .preprocess.text import TextEncoder, check_texts
from .report import Report
from .results import Prediction
from .system import peak_rss_bytes, probe, usable_cores
from .version import __version__


class Session:
    """One variant of a bundle, loaded. Open it with ``Session.open``, best as a context manager.

    ``manifest`` and ``variant`` say what runs, ``engine`` on what ("onnxruntime 1.31.1
    (CPUExecutionProvider)"), ``threads`` with how many threads, ``skipped`` which variants were not used and
    why.
    """

    def __init__(
        self,
        bundle: Bundle,
        loaded: selection.Loaded,
        threads: int,
        skipped: Tuple[str, ...],
        rss_before_bytes: Optional[int],
        shared_load: bool,
    ) -> None:
        self.bundle = bundle
        self.threads = threads
        self.skipped = skipped
        self._loaded = loaded
        self._runner = loaded.runner
        self._first_inference_ms = loaded.first_inference_ms
        self._rss_before_bytes = rss_before_bytes
        self._shared_load = shared_load
        self._encoder: Optional[TextEncoder] = None
        self._closed = False

    @classmethod
    def open(cls, path: Union[str, Path], variant: str = "auto", threads: Optional[int] = None) -> Session:
        """Open and verify the bundle at ``path`` (directory or .zip) and load one variant.

        ``variant`` is a name, or "auto": every usable variant is timed for a moment, the fastest is taken,
        and the choice is remembered. ``threads`` defaults to the cores that this process may use. Raises
        RuntimeBundleError for the bundle, EngineError when no engine here can run it, InputError for a wrong
        argument.
        """
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise InputError(f"threads {threads!r}: expected an integer of at least 1")
        count = threads if threads is not None else usable_cores()
        bundle = Bundle.open(path)
        try:
            rss_before = peak_rss_bytes()
            if variant == "auto":
                loaded, skipped, shared = selection.choose(bundle, count)
                return cls(bundle, loaded, count, skipped, rss_before, shared)
            known = [entry.name for entry in bundle.manifest.variants]
            if variant not in known:
                raise InputError(
                    f"bundle {bundle.manifest.name!r} has no variant {variant!r}: expected auto, {', '.join(known)}"
                )
            found = next(item for item in selection.candidates(bundle) if item.variant.name == variant)
            return cls(bundle, selection.load(bundle, found, count), count, (), rss_before, False)
        except BaseException:
            bundle.close()
            raise

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.bundle.manifest

    @property
    def variant(self) -> VariantEntry:
        """The variant that runs."""
        return self._loaded.candidate.variant

    @property
    def engine(self) -> str:
        """The engine that runs it: package, version and what it runs on."""
        return self._runner.model.label

    def run(self, feeds: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        """One inference: {input name: array} to {output name: array}, shapes and dtypes as in the manifest.

        Any batch and any sequence length up to the variant's longest: rows are split and padded as its file
        needs. Rows of one call may share a scale of the quantized activations, so a row's result can depend a
        little on its neighbours; ``predict`` keeps them apart. Raises InputError, EngineError.
        """
        if self._closed:
            raise InputError("this session is closed: open a new one")
        if self._first_inference_ms is not None:
            return self._runner.run(feeds)
        start = time.perf_counter()
        outputs = self._runner.run(feeds)
        self._first_inference_ms = (time.perf_counter() - start) * 1e3
        return outputs

    def predict(self, texts: Sequence[Union[str, Tuple[str, str]]]) -> List[Prediction]:
        """The task's result for each text: Classification, Regression, TokenClassification, Embedding or
        Answer.

        ``texts`` are strings, or pairs of strings where the manifest says so (question answering: question,
        context). A text longer than the model takes is cut, and its result says ``truncated``. Raises
        InputError, EngineError.
        """
        if self._closed:
            raise InputError("this session is closed: open a new one")
        encoder = self._text_encoder()
        rows = self._checked_texts(texts)
        results: List[Prediction] = []
        # One row at a time: dynamic int8 has one activation scale a tensor, so rows of a batch would change
        # each other's results, and small devices gain nothing from batches.
        for text, second in rows:
            encoded = encoder.encode(text, second)
            outputs = self.run(encoded.feeds)
            results.append(predict(self.manifest, outputs, encoded, text, second))
        return results

    def benchmark(
        self,
        runs: Optional[int] = None,
        duration_s: Optional[float] = None,
        sequence_length: Optional[int] = None,
    ) -> Report:
        """Warm up, time a loop of single rows, and report. See ``measure`` for the protocol.

        The loop ends after ``runs`` (100 when neither is given) or ``duration_s``, whichever comes first.
        ``sequence_length`` defaults to a middle one of the variant's. Raises InputError, EngineError.
        """
        check_amount(runs, duration_s)
        length = self._benchmark_length(sequence_length)
        feeds = synthetic_feeds(self.manifest.inputs, length)
        started_at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.run(feeds)
        warmup = warm_up(lambda: self._runner.run(feeds))
        latencies_ms, loop_s = timed_loop(lambda: self._runner.run(feeds), runs, duration_s)
        growth, reasons = self._memory_growth()
        if len(latencies_ms) < MIN_RUNS_FOR_P99:
            reasons["latency_ms.p99"] = f"{len(latencies_ms)} runs, needs {MIN_RUNS_FOR_P99}"
        if len(latencies_ms) == 1:
            reasons["latency_ms.stdev"] = "one run has no spread"
        reasons["temperature_c"] = "this release reads no temperature"
        if length is None:
            reasons["sequence_length"] = "the model's inputs have no sequence"
        return Report(
            bundle_name=self.manifest.name,
            bundle_digest=self.bundle.digest,
            variant=self.variant.name,
            engine=self.engine,
            threads=self.threads,
            batch_size=1,
            sequence_length=length,
            warmup_runs=warmup.runs,
            warmup_settled=warmup.settled,
            duration_s=loop_s,
            latencies_ms=latencies_ms,
            load_ms=self._loaded.load_ms,
            first_inference_ms=self._first_inference_ms,
            peak_rss_bytes=peak_rss_bytes(),
            peak_rss_growth_bytes=growth,
            temperature_c=None,
            power=power.read(),
            device=probe(),
            started_at=started_at,
            runtime_version=__version__,
            delegation=tuple(self._runner.model.delegation),
            skipped=self.skipped,
            reasons=reasons,
        )

    def close(self) -> None:
        """Release the model and, for a .zip, its unpacked copy. Calling it twice is harmless."""
        self._closed = True
        self._runner.close()
        self.bundle.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _checked_texts(self, texts: Sequence[object]) -> List[Tuple[str, Optional[str]]]:
        answers = self.manifest.task.name == "question-answering"
        preprocess = self.manifest.preprocess
        pairs = answers or (preprocess is not None and preprocess.pair)
        return check_texts(texts, pairs=pairs, singles=not answers)

    def _text_encoder(self) -> TextEncoder:
        if self._encoder is None:
            preprocess = self.manifest.preprocess
            if preprocess is None or self.manifest.task.name == "tensors":
                raise InputError(
                    f"bundle {self.manifest.name!r} takes arrays, not texts (task "
                    f"{self.manifest.task.name!r}): use Session.run"
                )
            self._encoder = TextEncoder(
                self.bundle.file(preprocess.tokenizer),
                preprocess,
                self.manifest.inputs,
                truncate_second=self.manifest.task.name == "question-answering",
            )
        return self._encoder

    def _benchmark_length(self, wanted: Optional[int]) -> Optional[int]:
        if wanted is None:
            return middle_sequence_length(self.manifest, (self.variant,))
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise InputError(f"sequence length {wanted!r}: expected an integer of at least 1")
        if not any(SEQUENCE in spec.shape for spec in self.manifest.inputs):
            raise InputError(f"sequence length {wanted}: the inputs of {self.manifest.name!r} have no sequence")
        return wanted

    def _memory_growth(self) -> Tuple[Optional[int], Dict[str, str]]:
        """Growth of the process's peak since before loading, and the reasons for what is unknown."""
        peak = peak_rss_bytes()
        if peak is None or self._rss_before_bytes is None:
            why = "this system doesn't tell a process its peak memory"
            return None, {"peak_rss_bytes": why, "peak_rss_growth_bytes": why}
        if self._shared_load:
            return None, {
                "peak_rss_growth_bytes": "several variants were loaded to choose one: name the variant to measure it"
            }
        return peak - self._rss_before_bytes, {}
