"""Shared by all tests: no network, one thread a worker (the suite runs two workers), a cache of its own.

In CI a skip that nobody allowed is a failure: a check that stops running must not look like one that passes.
"""

import gc
import json
import os
import re
import signal
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))  # for `import export_caches`

settings.register_profile("edgeformer", deadline=None)  # times are the benchmarks' business
settings.load_profile("edgeformer")

# Reasons (as regular expressions, from their start) for which a test may be skipped in CI, and why each is no hole.
ALLOWED_SKIPS = {
    r"root may write anywhere": "CI runs as root; the other user's case is covered wherever tests don't",
    r"transformers has no SDPA for MPNet": "a fact of that family, tested with its eager attention",
    r"products of int8 are not exact on this CPU": "x86 without VNNI: the runtime keeps uint8, as other tests hold",
    r"may not mount a file system here": "a container may forbid it; the full disk is also modelled without a mount",
}


def pytest_configure(config):
    if os.environ.get("CI"):
        config.pluginmanager.register(_StrictSkips(), "strict-skips")


class _StrictSkips:
    """Collects skips that aren't allowed, on xdist's controller as without xdist, and fails the run for them."""

    def __init__(self):
        self.found = []

    def note(self, report):
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not any(re.match(allowed, reason) for allowed in ALLOWED_SKIPS):
            self.found.append(f"{report.nodeid}: {reason}")

    pytest_runtest_logreport = note
    pytest_collectreport = note

    def pytest_sessionfinish(self, session, exitstatus):
        if self.found and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self.found:
            terminalreporter.section("skips that CI doesn't allow (tests/conftest.py lists those that it does)")
            for line in self.found:
                terminalreporter.line(line)


@pytest.fixture(autouse=True, scope="session")
def _manifests_fit_the_schema():
    """Every manifest that a test has written is checked against runtime/schema."""
    jsonschema = pytest.importorskip("jsonschema")
    from edgeformer_runtime.bundle import writer

    schema = json.loads((Path(__file__).parents[1] / "runtime/schema/manifest.schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    real = writer.manifest_text

    def checked(manifest):
        text = real(manifest)
        validator.validate(json.loads(text))
        return text

    writer.manifest_text = checked
    yield
    writer.manifest_text = real


@pytest.fixture(autouse=True, scope="session")
def _exports_share_tables():
    if "torch" not in sys.modules:  # the device's tests run without it
        yield
        return
    from export_caches import kept_tables

    with kept_tables():
        yield


def pytest_collection_finish():
    gc.freeze()  # half a million objects of torch and transformers, which no collection need walk through again


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
