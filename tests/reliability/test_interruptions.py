"""The interruption tests in small, and that they find an install that does it wrong."""

import random

import pytest
from disk_model import Recorder, after_power_cut
from kills import kill_at, steps_of
from lost_writes import cut, record
from scenarios import scenarios

from edgeformer_runtime import durable, install_state


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return {item.name: item for item in scenarios(tmp_path_factory.mktemp("scenarios"))}


def cuts(scenario, folder, count):
    recorder = record(scenario, folder)
    generator = random.Random(1)
    return [problem for _ in range(count) if (problem := cut(scenario, recorder, folder, generator)) is not None]


def kills(scenario, folder):
    problems = []
    for step in range(len(steps_of(scenario, folder))):
        directory = scenario.fresh(folder)
        kill_at(scenario, directory, step)
        problems.append(scenario.problem(directory))
    return [problem for problem in problems if problem is not None]


def test_killed_at_every_step_of_a_rollback(cases, tmp_path):
    assert kills(cases["rollback"], tmp_path) == []


def test_power_cuts_during_an_update(cases, tmp_path):
    assert cuts(cases["second"], tmp_path, 12) == []


def test_an_install_that_syncs_nothing_is_found_out(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "sync_file", lambda path: None)
    monkeypatch.setattr(durable.os, "fsync", lambda handle: None)
    assert cuts(cases["second"], tmp_path, 25) != []


def test_an_install_that_forgets_its_folders_is_found_out(cases, tmp_path, monkeypatch):
    real = durable.sync_file
    monkeypatch.setattr(durable, "sync_file", lambda path: None if path.is_dir() else real(path))
    assert cuts(cases["second"], tmp_path, 25) != []


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
