"""A checkpoint is whole or it is none."""

import pytest
import torch

from edgeformer.stages import Stages
from edgeformer.training.checkpoint import Checkpoint, Checkpoints

TENSORS = {"a/w": torch.randn(3, 4), "a/step": torch.tensor(7.0), "empty": torch.zeros(0, 2), "ids": torch.arange(5)}
STATE = {"epoch": 2, "sums": {"loss": 0.1 + 0.2}, "history": [{"metric": None}]}


def test_what_was_saved_is_loaded(tmp_path):
    checkpoints = Checkpoints(tmp_path / "made" / "here")
    assert checkpoints.load() is None
    checkpoints.save(Checkpoint(TENSORS, STATE))
    loaded = checkpoints.load()
    assert loaded.state == STATE
    assert set(loaded.tensors) == set(TENSORS)
    assert all(torch.equal(loaded.tensors[name], TENSORS[name]) for name in TENSORS)
    assert [path.name for path in checkpoints.directory.iterdir()] == [checkpoints.path.name]


def test_the_latest_counts(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(Checkpoint({"w": torch.full((2,), float(step))}, {"steps": step}))
    assert checkpoints.load().state == {"steps": 2}


def test_weights_may_share_memory(tmp_path):
    table = torch.randn(4, 4)
    Checkpoints(tmp_path).save(Checkpoint({"a": table, "b": table, "c": table.T}, {}))
    loaded = Checkpoints(tmp_path).load().tensors
    assert torch.equal(loaded["a"], loaded["b"])
    assert torch.equal(loaded["c"], table.T)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_is_left_out_and_said(tmp_path, damage):
    said = []
    checkpoints = Checkpoints(tmp_path, warn=said.append)
    checkpoints.save(Checkpoint(TENSORS, STATE))
    data = bytearray(checkpoints.path.read_bytes())
    if damage == "flipped":
        data[-9] ^= 1  # in the last tensor
    else:
        data = {"cut": data[:-10], "empty": b"", "foreign": b"no checkpoint at all"}[damage]
    checkpoints.path.write_bytes(bytes(data))
    assert checkpoints.load() is None
    assert "damaged" in said[0]
    assert "starts again" in said[0]


def test_a_failed_write_keeps_the_last_one(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(Checkpoint(TENSORS, STATE))

    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("edgeformer.training.checkpoint.save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(Checkpoint(TENSORS, {"epoch": 3}))
    assert checkpoints.load().state == STATE


def test_scratch_survives_an_error_and_goes_when_all_is_well(tmp_path):
    stages = Stages(tmp_path)

    def fail(directory):
        Checkpoints(directory).save(Checkpoint(TENSORS, STATE))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), stages.scratch("recover", {"k": 1}) as directory:
        fail(directory)
    with stages.scratch("recover", {"k": 2}) as other:
        assert Checkpoints(other).load() is None
    with stages.scratch("recover", {"k": 1}) as again:
        assert again == directory
        assert Checkpoints(again).load().state == STATE
    assert list(tmp_path.iterdir()) == []


def test_due_after_a_while(tmp_path):
    assert Checkpoints(tmp_path, every_seconds=0).due()
    assert not Checkpoints(tmp_path, every_seconds=3600).due()
