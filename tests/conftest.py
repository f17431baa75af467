"""Shared by all tests: no network, one thread a worker (the suite runs two workers), a cache of its own."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("edgeformer", deadline=None)  # times are the benchmarks' business
settings.load_profile("edgeformer")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EDGEFORMER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
