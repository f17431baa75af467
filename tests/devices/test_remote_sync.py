"""Copying what changed: to a folder of this machine, through a real shell and the real agent."""

from __future__ import annotations

import fcntl
import json
import os
import random
import stat
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeformer_devices.remote import agent
from edgeformer_devices.remote.base import RemoteError
from edgeformer_devices.remote.facts import settle
from edgeformer_devices.remote.sync import _BATCH_BYTES, _batches, inventory_of, local_inventory, make_plan, sync


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/one").write_bytes(b"1" * 1000)
    (folder / "a/b/two 'quoted' $(x)").write_bytes(b"2" * 1000)
    (folder / "empty").touch()
    return folder


@pytest.fixture
def place(shell):
    return settle(shell)


def copy(place, tree, name="tree"):
    where, facts = place
    lines: list[str] = []
    sent = sync(where, tree, name, facts, inventory_of(where), lines.append)
    return sent, lines


def test_a_folder_arrives_whole_and_only_changes_follow(place, tree, shell, device_home):
    sent, lines = copy(place, tree)
    there = device_home / ".cache/edgeformer/bench/tree"
    assert local_inventory(there) == local_inventory(tree)
    assert sent > 0
    assert "copy 3 of 3 files of tree" in lines[0]
    shell.sent.clear()
    assert copy(place, tree) == (0, [])
    assert shell.sent == []
    (tree / "a/one").write_bytes(b"changed")
    (tree / "empty").unlink()
    _, lines = copy(place, tree)
    assert "copy 1 of 2 files" in lines[0]
    assert local_inventory(there) == local_inventory(tree)


def test_equal_content_elsewhere_on_the_device_is_copied_there(place, tree, shell):
    copy(place, tree)
    shell.sent.clear()
    sent, _ = copy(place, tree, "another")
    assert sent == 0
    assert shell.sent == []
    assert "another/a/one" in inventory_of(place[0])


def test_a_file_altered_on_the_device_is_sent_again(place, tree, device_home):
    copy(place, tree)
    file = device_home / ".cache/edgeformer/bench/tree/a/one"
    file.write_bytes(b"x")
    copy(place, tree)
    assert file.read_bytes() == b"1" * 1000


def test_a_link_put_in_the_way_is_replaced_and_not_followed(place, tree, device_home, tmp_path):
    copy(place, tree)
    file = device_home / ".cache/edgeformer/bench/tree/a/one"
    victim = tmp_path / "victim"
    victim.write_text("mine")
    file.unlink()
    file.symlink_to(victim)
    copy(place, tree)
    assert victim.read_text() == "mine"
    assert not file.is_symlink()


def test_no_space_is_refused_before_anything_is_sent(place, tree, shell):
    shell.sent.clear()
    where, facts = place
    with pytest.raises(RemoteError, match=r"no space: tree needs \d+ MB .* 0 MB are free"):
        sync(where, tree, "tree", replace(facts, free_bytes=1000), {}, print)
    assert shell.sent == []


def test_a_full_disk_that_shows_late_is_named(place, tree, device_home):
    """A file-size limit stands in for the full disk: the agent's write fails in the same place."""
    (tree / "large").write_bytes(random.Random(0).randbytes(200_000))
    python = device_home / "bin" / "python3"
    python.write_text(python.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nulimit -f 100\n"))
    with pytest.raises(RemoteError, match="apply failed"):
        copy(place, tree)


def test_the_folder_is_ours_alone(place, device_home):
    mode = (device_home / ".cache/edgeformer/bench").stat().st_mode
    assert stat.S_IMODE(mode) & 0o077 == 0


names = st.sampled_from(["a", "b", "c/d", "c/e", "f"])
contents = st.sampled_from(["1", "2", "3"])


@given(st.dictionaries(names, contents), st.dictionaries(names, contents), st.dictionaries(names, contents))
def test_a_plan_makes_the_folder_equal_whatever_was_there(wanted, here, elsewhere):
    there = {f"x/{k}": v for k, v in here.items()} | {f"other/{k}": v for k, v in elsewhere.items()}
    plan = make_plan(wanted, there, "x")
    result = dict(here)
    for source, path in plan.copies:
        assert not source.startswith("x/")
        result[path] = there[source]
    for path in plan.stale:
        del result[path]
    for path in plan.send:
        result[path] = wanted[path]
    assert result == wanted
    assert not set(plan.send) & {path for path, value in here.items() if wanted.get(path) == value}


@given(st.lists(st.integers(0, 3 * _BATCH_BYTES), max_size=20))
def test_batches_hold_every_file_once_and_are_bounded(sizes):
    files = {str(index): size for index, size in enumerate(sizes)}
    batches = list(_batches(files))
    assert [path for batch in batches for path in batch] == list(files)
    for batch in batches:
        assert len(batch) == 1 or sum(files[path] for path in batch) <= _BATCH_BYTES


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside"])
def test_the_agent_unpacks_nothing_outside(tmp_path, name):
    archive = tmp_path / "x.tar.gz"
    source = tmp_path / "source"
    source.write_text("x")
    with tarfile.open(archive, "w:gz") as tar, source.open("rb") as content:
        tar.add(source, "inside")
        info = tar.gettarinfo(str(source))
        info.name = name
        tar.addfile(info, content)
    with pytest.raises(ValueError, match="isn't a plain file inside"):
        agent.apply(str(tmp_path / "root"), "x", [], [], str(archive))
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "root/outside").exists()


def test_the_agent_refuses_links_in_an_archive(tmp_path):
    archive = tmp_path / "x.tar.gz"
    os.symlink("/etc/passwd", tmp_path / "link")  # noqa: PTH211
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "link", "link")
    with pytest.raises(ValueError, match="isn't a plain file"):
        agent.apply(str(tmp_path / "root"), "x", [], [], str(archive))


def test_the_agent_counts_files_as_the_workstation_does(tree):
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__/x.pyc").write_bytes(b"x")
    assert agent.inventory(str(tree)) == local_inventory(tree)
    assert json.loads(json.dumps(agent.inventory(str(tree)))) == local_inventory(tree)


def test_no_bundle_goes_while_somebody_measures(tmp_path):
    for age in range(3):
        (tmp_path / f"bundle-{age}").mkdir()
        os.utime(tmp_path / f"bundle-{age}", (10**9 - age, 10**9 - age))
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert agent.tidy(str(tmp_path), 1) == {"removed": []}
    assert agent.tidy(str(tmp_path), 1) == {"removed": ["bundle-1", "bundle-2"]}
    assert [path.name for path in tmp_path.glob("bundle-*")] == ["bundle-0"]
