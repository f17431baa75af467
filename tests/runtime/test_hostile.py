"""Every hostile bundle is refused before an engine or a tokenizer sees it, and nothing is left anywhere."""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
import time
import types
from pathlib import Path

import pytest

from edgeformer_runtime import Bundle, RuntimeBundleError, Session, engines, install
from edgeformer_runtime.engines.base import Availability
from edgeformer_runtime.errors import EngineError
from edgeformer_runtime.files import listing, private_copy

sys.path.insert(0, str(Path(__file__).parent))
import hostile_bundles
from hostile_bundles import CASES, MODEL, SWAPS

MAX_S = 50.0  # of CPU time, each: what else the machine does is no matter of the case


class SpyEngine:
    """Takes every variant and remembers what it was given to load."""

    name = "spy"

    def __init__(self):
        self.loaded = []

    def availability(self, variant):
        return Availability(True, variant.engine, "spy", "1")

    def load(self, path, variant, threads, *more):
        self.loaded.append(Path(path).read_bytes())
        raise EngineError("the spy loads nothing")


@pytest.fixture
def spy(monkeypatch):
    engine = SpyEngine()
    module = types.ModuleType("edgeformer_runtime.engines.spy")
    module.ENGINE = engine
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in list(engines.ENGINES):
        monkeypatch.setitem(engines.ENGINES, name, dataclasses.replace(engines.ENGINES[name], module=".spy"))
    tokenizers = pytest.importorskip("tokenizers")
    seen = types.SimpleNamespace(
        from_str=lambda *_: engine.loaded.append(b"tokenizer"), from_file=lambda *_: engine.loaded.append(b"tokenizer")
    )
    monkeypatch.setattr(tokenizers, "Tokenizer", seen)
    return engine


@pytest.fixture
def unpack(tmp_path, monkeypatch):
    """Where .zip files are unpacked to."""
    folder = tmp_path / "unpack"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def tree(folder):
    """{path: what it is} of everything below ``folder``."""
    found = {}
    for parent, folders, files in os.walk(str(folder)):
        for name in (*folders, *files):
            path = Path(parent, name)
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 22 else b""
            found[str(path)] = (status.st_mode, status.st_size, content)
    return found


def test_a_sound_bundle_reaches_the_spy(make_bundle, spy):
    with pytest.raises(EngineError, match="loads nothing"):
        Session.open(make_bundle())
    assert len(spy.loaded) == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CASES)
def test_refused(name, make_bundle, tmp_path, spy, unpack):
    good = make_bundle()
    folder = tmp_path / "case"
    folder.mkdir()
    path = CASES[name](good, folder)
    before = tree(tmp_path)
    start = time.process_time()
    with pytest.raises(RuntimeBundleError) as caught:
        Session.open(path)
    assert time.process_time() - start < MAX_S
    assert len(str(caught.value)) < 2500
    assert spy.loaded == []
    assert tree(tmp_path) == before
    Bundle.open(good)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CASES)
def test_not_installed(name, make_bundle, tmp_path, unpack):
    good = make_bundle()
    folder = tmp_path / "case"
    folder.mkdir()
    path = CASES[name](good, folder)
    before = tree(tmp_path)
    with pytest.raises(RuntimeBundleError):
        install(path, tmp_path / "device")
    after = {place: what for place, what in tree(tmp_path).items() if not place.startswith(str(tmp_path / "device"))}
    assert after == before
    assert not (tmp_path / "device" / "installed.json").exists()


@pytest.mark.parametrize("name", SWAPS)
def test_refused_when_swapped(name, make_bundle, tmp_path, spy, unpack, monkeypatch):
    path = make_bundle()
    when, swap = SWAPS[name]
    module = {"hash": listing, "load": private_copy}[when]
    real = module.open_plain
    done = []

    def swapping(place, relative, *seen):
        if Path(place).name == Path(MODEL).name and not done:
            done.append(swap(path, tmp_path))
        return real(place, relative, *seen)

    monkeypatch.setattr(module, "open_plain", swapping)
    with pytest.raises(RuntimeBundleError):
        Session.open(path)
    assert done
    assert spy.loaded == []
    assert list(unpack.iterdir()) == []


def test_what_is_loaded_is_what_was_hashed_whatever_happens_then(make_bundle, spy, monkeypatch):
    path = make_bundle()
    original = (path / MODEL).read_bytes()
    real = spy.load

    def load(given, *more):
        (path / MODEL).write_bytes(bytes(len(original)))  # the engine is about to read: nothing can help but a copy
        return real(given, *more)

    monkeypatch.setattr(spy, "load", load)
    with pytest.raises(EngineError):
        Session.open(path)
    assert spy.loaded == [original]


def test_there_are_enough_of_them():
    assert len(CASES) + len(SWAPS) >= 60
    assert len(hostile_bundles.CASES) == len(set(hostile_bundles.CASES.values()))
