"""The interruption tests in small, and that they find an install that does it wrong."""

import random
from pathlib import Path

import pytest
from disk_model import Recorder, after_power_cut
from kills import kill_at, steps_of
from lost_writes import cut, record
from scenarios import scenarios
from section import scratch

from edgeformer_runtime.bundle import installed_state as install_state
from edgeformer_runtime.files import durable


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return {item.name: item for item in scenarios(tmp_path_factory.mktemp("scenarios"))}


def problems(scenario, count):
    """What is wrong after each of ``count`` power cuts, one after another."""
    generator = random.Random(1)
    with scratch() as name:
        recorder = record(scenario, Path(name))
        for _ in range(count):
            yield cut(scenario, recorder, Path(name), generator)


def found_out(scenario):
    """Is something wrong after one of many power cuts? The first one answers."""
    return any(problem is not None for problem in problems(scenario, 500))


def kills(scenario, folder):
    problems = []
    for step in range(len(steps_of(scenario, folder))):
        directory = scenario.fresh(folder)
        kill_at(scenario, directory, step)
        problems.append(scenario.problem(directory))
    return [problem for problem in problems if problem is not None]


def test_killed_at_every_step_of_a_rollback(cases, tmp_path):
    assert kills(cases["rollback"], tmp_path) == []


def test_power_cuts_during_an_update(cases):
    assert list(problems(cases["second"], 60)) == [None] * 60


def test_an_install_that_syncs_nothing_is_found_out(cases, monkeypatch):
    monkeypatch.setattr(durable, "sync_file", lambda path: None)
    monkeypatch.setattr(durable.os, "fsync", lambda handle: None)
    assert found_out(cases["second"])


def test_an_install_that_forgets_its_folders_is_found_out(cases, monkeypatch):
    real = durable.sync_file
    monkeypatch.setattr(durable, "sync_file", lambda path: None if path.is_dir() else real(path))
    assert found_out(cases["second"])


def test_a_pointer_written_in_place_is_found_out(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(install_state, "write_replacing", lambda path, content, temporary: path.write_bytes(content))
    assert kills(cases["rollback"], tmp_path) != []


def test_what_was_synced_is_always_there_and_the_rest_sometimes(tmp_path):
    root = tmp_path / "root"
    root.mkdir()

    def work():
        (root / "kept").write_bytes(b"kept")
        durable.sync_file(root / "kept")
        durable.sync_folder(root)
        (root / "lost").write_bytes(b"x" * 100)

    recorder = Recorder(root)
    assert recorder.record(work) == 0
    generator = random.Random(0)
    seen = set()
    for _ in range(50):
        nodes = after_power_cut(recorder, len(recorder.log), generator)
        names = nodes[nodes[recorder.top].entries["root"]].entries
        assert bytes(nodes[names["kept"]].content) == b"kept"
        seen.add(bytes(nodes[names["lost"]].content) if "lost" in names else None)
    assert None in seen
    assert b"x" * 100 in seen
    assert len(seen) > 3  # torn ones, and sizes without content
