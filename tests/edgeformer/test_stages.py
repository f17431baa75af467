import ast
import errno
from pathlib import Path

import pytest

import edgeformer
from edgeformer.errors import InternalError, ModelError
from edgeformer.stages import NOT_IN_RESULTS, Stages, key_digest, source_digest


def test_a_finished_stage_is_not_done_again(tmp_path):
    calls = []

    def make(directory):
        calls.append(1)
        (directory / "out.bin").write_bytes(b"x")
        return {"n": 7}

    for _ in range(2):
        stages = Stages(tmp_path)
        directory, result = stages.directory("export onnx", {"k": 1}, make)
        assert result == {"n": 7}
        assert (directory / "out.bin").read_bytes() == b"x"
        stages.close()
    assert len(calls) == 1
    assert stages.records[0].resumed


def test_another_key_is_another_stage(tmp_path):
    stages = Stages(tmp_path)
    first, _ = stages.directory("s", {"k": 1}, lambda d: {})
    second, _ = stages.directory("s", {"k": 2}, lambda d: {})
    assert first != second


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (KeyboardInterrupt, KeyboardInterrupt),
        (OSError(errno.ENOSPC, "No space left on device"), OSError),
        (OSError("a library's"), InternalError),
        (ValueError, InternalError),
        (ModelError, ModelError),
    ],
)
def test_a_broken_stage_leaves_nothing(tmp_path, error, seen):
    def make(directory):
        (directory / "half.bin").write_bytes(b"x")
        raise error

    with pytest.raises(seen) as caught:
        Stages(tmp_path).directory("s", {}, make)
    assert str(caught.value).startswith("stage s: ") is (seen is InternalError)
    assert list(tmp_path.iterdir()) == []


def test_without_a_cache_everything_is_gone_afterwards():
    stages = Stages(None)
    directory, _ = stages.directory("s", {}, lambda d: {})
    assert directory.is_dir()
    stages.close()
    assert not directory.exists()


def test_key_digest_is_order_free_and_refuses_what_json_cannot_hold():
    assert key_digest({"a": 1, "b": 2}) == key_digest({"b": 2, "a": 1})
    with pytest.raises(TypeError):
        key_digest({"a": object()})


def test_a_stage_within_another_is_noted_as_its_part(tmp_path):
    stages = Stages(tmp_path)
    with stages.inside("a pass"):
        stages.directory("inner", {}, lambda d: {})
    with stages.timed("outer"), pytest.raises(InternalError):
        stages.directory("broken", {}, lambda d: [].index(1))
    stages.done("pass", 1.0)
    assert [(record.name, record.within) for record in stages.records] == [
        ("inner", "a pass"),
        ("outer", ""),
        ("pass", ""),
    ]
    assert stages.wall_seconds >= 0


@pytest.mark.parametrize(
    ("changed", "counts"),
    [("report/page.py", False), ("cli.py", False), ("passes/report.py", True), ("passes/new.py", True)],
)
def test_the_source_of_what_only_shows_results_is_not_in_their_keys(tmp_path, monkeypatch, changed, counts):
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("__init__.py", "cli.py", "report/page.py", "passes/report.py"):
        file = tmp_path / "sampled" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    before = source_digest.__wrapped__("sampled")
    (tmp_path / "sampled" / changed).write_text("# a comment")
    assert (source_digest.__wrapped__("sampled") != before) is counts


def test_what_makes_results_reads_nothing_that_is_not_in_their_keys():
    root = Path(edgeformer.__file__).parent
    left_out = {name.removesuffix(".py") for name in NOT_IN_RESULTS}
    assert all((root / name).exists() for name in NOT_IN_RESULTS)
    reads = set()
    for path in root.rglob("*.py"):
        place = path.relative_to(root)
        # the compiler asks all the others; a countdown is for people
        if place.parts[0] in NOT_IN_RESULTS or place.name == "compiler.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            own = isinstance(node, ast.ImportFrom) and node.module and node.level == len(place.parts)
            if own and node.module.split(".")[0] in left_out and node.module != "terminal.countdown":
                reads.add((str(place), node.module))
    assert reads == set()
