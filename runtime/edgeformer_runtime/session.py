"""Session: a bundle opened for running, on the engine that is fastest on this device."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type, Union, cast

import numpy as np

from .background import DEFAULT_QUEUE_SIZE, Background, Gate, check_queue_size
from .bundle.bundle import Bundle
from .bundle.manifest import SEQUENCE, Manifest, VariantEntry
from .bundle.signing import Keys
from .device.facts import peak_rss_bytes, usable_cores
from .engines.base import Say, to_stderr
from .errors import InputError
from .measuring.findings import Accuracy
from .measuring.report import Report
from .predictor import Predictor
from .sandbox.sandbox import Limits, load_in_sandbox
from .tasks import Prediction, get_task
from .tasks.feature_extraction import Embedding
from .variants import selection
from .variants.feeds import prediction_inputs, synthetic_feeds, typical_sizes


class Session:
    """One variant of a bundle, loaded. Open it with ``Session.open``, best as a context manager.

    ``manifest`` and ``variant`` say what runs, ``engine`` on what ("onnxruntime 1.31.1
    (CPUExecutionProvider)"), ``threads`` with how many threads, ``skipped`` which variants and engines were not used
    and why, ``self_check`` whether the engine's results were compared with the verified ones.

    Every method may be called from several threads at once: ONNX Runtime runs such calls side by side, LiteRT and
    Core ML one after the other. ``close`` lets calls that are inside end well; later ones raise InputError.
    """

    def __init__(
        self,
        bundle: Bundle,
        loaded: selection.Loaded,
        threads: int,
        skipped: Tuple[str, ...],
        rss_before_bytes: Optional[int],
        shared_load: bool,
        queue_size: int = DEFAULT_QUEUE_SIZE,
    ) -> None:
        self._gate = Gate()
        self._background = Background(queue_size)
        self.bundle = bundle
        self.threads = threads
        self.skipped = skipped
        self._loaded = loaded
        self._runner = loaded.runner
        self._first_inference_ms = loaded.first_inference_ms
        self._rss_before_bytes = rss_before_bytes
        self._shared_load = shared_load
        self._predicting: Optional[Predictor] = None

    @classmethod
    def open(
        cls,
        path: Union[str, Path],
        variant: str = "auto",
        threads: Optional[int] = None,
        *,
        key: Keys = None,
        sandbox: Union[bool, Limits] = False,
        engine: str = "auto",
        self_check: str = "first",
        ignore_memory: bool = False,
        queue_size: int = DEFAULT_QUEUE_SIZE,
        say: Say = to_stderr,
    ) -> Session:
        """Open and verify the bundle at ``path`` (directory or .zip) and load one variant.

        ``variant`` is a name, or "auto": every usable variant is timed for a moment, the fastest is taken,
        and the choice is remembered. ``threads`` defaults to the cores that this process may use. ``key`` is
        as in ``Bundle.open``. With ``sandbox`` (True, or ``Limits``) the bundle is first loaded and run in a
        child process, once for each bundle and engine.

        ``engine`` restricts the choice to one engine ("onnxruntime", "cuda", "tensorrt", "litert", "coreml").
        ``self_check``: the variant answers the bundle's golden rows "first" (once a bundle, engine and CPU), "always"
        or "never"; an engine that gives wrong results is refused. A variant that clearly needs more memory than is
        free is refused, unless ``ignore_memory``. ``queue_size`` bounds the calls of ``run_async`` that wait. ``say``
        is told when opening takes minutes, as building a TensorRT engine does.

        Raises RuntimeBundleError for the bundle, EngineError when no engine here can run it, InputError for a wrong
        argument, SandboxError.
        """
        options = selection.LoadOptions(engine, self_check, ignore_memory, say)
        check_queue_size(queue_size)
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise InputError(f"threads {threads!r}: expected an integer of at least 1")
        count = threads if threads is not None else usable_cores()
        bundle = Bundle.open(path, key)
        try:
            if sandbox:
                load_in_sandbox(bundle, variant, threads, None if sandbox is True else sandbox)
            rss_before = peak_rss_bytes()
            if variant == "auto":
                loaded, skipped, shared = selection.choose(bundle, count, options)
                return cls(bundle, loaded, count, skipped, rss_before, shared, queue_size)
            _check_variant(bundle.manifest, variant)
            found = next(item for item in selection.candidates(bundle, engine) if item.variant.name == variant)
            loaded = selection.load(bundle, found, count, options)
            return cls(bundle, loaded, count, loaded.passed_over, rss_before, False, queue_size)
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
        return self._runner.label

    @property
    def delegation(self) -> Tuple[str, ...]:
        """What ran where, or was wanted and not used, as far as the engine says; some know it after the first run."""
        return self._runner.delegation

    @property
    def self_check(self) -> str:
        """How the comparison with the verified outputs ended, in words."""
        return self._loaded.check.text if self._loaded.check is not None else "self-check: none"

    def run(self, feeds: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        """One inference: {input name: array} to {output name: array}, shapes and dtypes as in the manifest.

        Any batch and any sequence length up to the variant's longest: rows are split and padded as its file
        needs. Rows of one call may share a scale of the quantized activations, so a row's result can depend a
        little on its neighbours; ``predict`` keeps them apart. Raises InputError, EngineError.
        """
        self._gate.enter()
        try:
            return self._run(feeds)
        finally:
            if self._gate.leave():
                self._release()

    def run_async(self, feeds: Mapping[str, Any]) -> "Future[Dict[str, np.ndarray]]":
        """``run`` in the background: a future of its result. Calls run in order, one at a time.

        In asyncio, which then serves others meanwhile::

            outputs = await asyncio.wrap_future(session.run_async(feeds))

        The arrays must not be changed before the future is done. Raises BusyError, at once, when ``queue_size``
        calls wait already; ``close`` cancels those that wait. What ``run`` raises is raised by the future.
        """
        return self._background.submit(self.run, feeds)

    def predict_async(
        self, items: Sequence[Any], prompt: Optional[str] = None, labels: Optional[Sequence[str]] = None
    ) -> "Future[List[Prediction]]":
        """``predict`` in the background; see ``run_async``."""
        return self._background.submit(self.predict, items, prompt, labels)

    def predict(
        self, items: Sequence[Any], prompt: Optional[str] = None, labels: Optional[Sequence[str]] = None
    ) -> List[Prediction]:
        """The task's result for each item: Classification, Regression, Embedding, Answer, ….

        What ``items`` are, ``reads`` says. Texts are strings, or pairs of strings where the manifest says so (question
        answering: question, context); a text longer than the model takes is cut, and its result says ``truncated``.
        ``prompt`` names one of the manifest's prompts ("query"), whose text is put before each text; None is the
        manifest's default prompt, "" none. Pictures are paths, bytes, arrays uint8 [height, width, channels] or
        pictures of Pillow's; sounds are paths of WAV files, bytes, arrays or (array, rate in Hz); for
        image-text-similarity an item is (picture, text). ``labels``, for zero-shot-image-classification, are others
        than the bundle's own. Raises InputError, EngineError.
        """
        self._gate.enter()
        try:
            return self._predictor().predict(items, prompt, labels)
        finally:
            if self._gate.leave():
                self._release()

    def embed(self, items: Sequence[Any], kind: str, prompt: Optional[str] = None) -> List[Embedding]:
        """The vector of each item: ``kind`` says whether they are of "image" or "text", and a model may embed both.

        Vectors of one model are comparable (``similarity``), whatever they are of. Raises InputError, EngineError.
        """
        self._gate.enter()
        try:
            return self._predictor().embed(items, kind, prompt)
        finally:
            if self._gate.leave():
                self._release()

    def _run(self, feeds: Mapping[str, Any]) -> Dict[str, np.ndarray]:
        if self._first_inference_ms is not None:
            return self._runner.run(feeds)
        start = time.perf_counter()
        outputs = self._runner.run(feeds)
        self._first_inference_ms = (time.perf_counter() - start) * 1e3
        return outputs

    def benchmark(
        self,
        runs: Optional[int] = None,
        duration_s: Optional[float] = None,
        sequence_length: Optional[int] = None,
        *,
        quick: bool = False,
        sustained_minutes: Optional[float] = None,
        meter: Optional[Any] = None,
        progress: Callable[[str], None] = lambda message: None,
    ) -> Report:
        """Measure single rows by the protocol of ``measure``, about 40 s, and report.

        ``runs`` or ``duration_s`` set how much is timed, over all repeats together; ``quick`` is a protocol of about
        3 s for a first look. ``sustained_minutes`` adds that long a run at the end, in windows. ``sequence_length``
        defaults to a middle one of the variant's. ``meter`` is a power meter of your own, any object with
        ``read_watts()``, instead of the device's. ``progress`` is told what is being done. Sensors that fail make
        their figures unavailable, with the reason. Raises InputError, EngineError.
        """
        from .measuring.benchmark import Wanted, benchmark

        wanted = Wanted(runs, duration_s, quick, sustained_minutes, meter)
        sizes = self._benchmark_sizes(sequence_length)
        feeds = synthetic_feeds(prediction_inputs(self.manifest), sizes)
        self.run(feeds)  # the first inference, before the idle baseline: it may allocate, or build an engine
        return benchmark(lambda: self._runner.run(feeds), wanted, lambda: self._facts(sizes.get(SEQUENCE)), progress)

    def _facts(self, asked: Optional[int]) -> Dict[str, Any]:
        """What a report says of bundle, engine and memory; ``asked`` positions were fed, and may have been padded."""
        length, notes = asked, cast("Tuple[str, ...]", ())
        if asked is not None and self.variant.lengths_of(SEQUENCE):
            length = min(made for made in self.variant.lengths_of(SEQUENCE) if made >= asked)
            if length != asked:
                notes = (f"{asked} positions were asked for: the variant is made for {length} and pads to them",)
        growth, reasons = self._memory_growth()
        if length is None:
            reasons["sequence_length"] = "the model's inputs have no sequence"
        check = self.variant.verification
        accuracy = None
        if check is None or check.metric_name is None or check.metric is None:
            reasons["accuracy"] = "the bundle was compiled without labelled evaluation rows"
        else:
            accuracy = Accuracy(check.metric_name, check.metric, check.samples)
        return {
            "accuracy": accuracy,
            "bundle_name": self.manifest.name,
            "bundle_digest": self.bundle.digest,
            "variant": self.variant.name,
            "engine": self.engine,
            "threads": self.threads,
            "batch_size": 1,
            "sequence_length": length,
            "load_ms": self._loaded.load_ms,
            "first_inference_ms": self._first_inference_ms,
            "peak_rss_bytes": peak_rss_bytes(),
            "peak_rss_growth_bytes": growth,
            "delegation": (*notes, *self._runner.delegation, self.self_check),
            "skipped": self.skipped,
            "reasons": reasons,
        }

    def close(self) -> None:
        """Release the model and, for a .zip, its unpacked copy. Calling it twice is harmless.

        It returns at once. Calls of other threads that are inside end well, and the last of them releases the model;
        calls in the background that wait are cancelled.
        """
        self._background.close()
        if self._gate.close():
            self._release()

    def _release(self) -> None:
        self._runner.close()
        self.bundle.close()

    def __del__(self) -> None:
        gate = getattr(self, "_gate", None)  # None where __init__ raised
        if gate is not None and not gate.closed:
            warnings.warn("a Session was never closed: use `with Session.open(…)`", ResourceWarning, 2, self)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    @property
    def reads(self) -> Optional[str]:
        """What ``predict`` takes: "text", "image", "audio" or "image and text"; None where only arrays go in, to
        ``run``.
        """
        task = get_task(self.manifest.task, self.manifest.outputs)
        kinds = {item.kind for item in self.manifest.preprocess}
        return task.reads if task.kinds and kinds.issuperset(task.kinds) else None

    def _predictor(self) -> Predictor:
        if self._predicting is None:
            checks = self._loaded.check is not None and self._loaded.check.status != "off"
            self._predicting = Predictor(self.bundle, self._run, checks)
        return self._predicting

    def _benchmark_sizes(self, wanted: Optional[int]) -> Dict[str, int]:
        sizes = typical_sizes(self.manifest, (self.variant,))
        if wanted is None:
            return sizes
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise InputError(f"sequence length {wanted!r}: expected an integer of at least 1")
        if SEQUENCE not in sizes:
            raise InputError(f"sequence length {wanted}: the inputs of {self.manifest.name!r} have no sequence")
        return {**sizes, SEQUENCE: wanted}

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
        return max(0, peak - self._rss_before_bytes), {}  # the kernel's counts are off by a few pages


def _check_variant(manifest: Manifest, wanted: str) -> None:
    """Raise InputError unless the manifest has a variant of that name which this runtime knows."""
    known = [entry.name for entry in manifest.variants]
    skipped = [item.reason for item in manifest.skipped_parts("variant") if item.name == wanted]
    if skipped:
        raise InputError(
            f"bundle {manifest.name!r}: variant {wanted!r} was skipped: {skipped[0]}: update edgeformer-runtime"
        )
    if wanted not in known:
        raise InputError(f"bundle {manifest.name!r} has no variant {wanted!r}: expected auto, {', '.join(known)}")
