"""Inputs that local attention must take, or refuse with a reason, in a whole model and from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from edgeformer.cli import main
from edgeformer.data.encoding import encode
from edgeformer.data.splits import Data, Rows
from edgeformer.loading.load import load_model
from edgeformer.passes.base import PassContext, run_passes
from edgeformer.passes.extend_positions import ExtendPositions
from edgeformer.passes.local_attention import LocalAttend
from edgeformer.passes.recover import Recover
from edgeformer.rows.samples import Sample, Samples
from edgeformer.tasks.masks import MASKED
from edgeformer.training.teacher import Teacher
from edgeformer_converters.ops import LocalPattern

TEXT = "the a good bad film book was very not and plot actor great dull fine slow fun sad true best"
WORDS = TEXT.split()


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


def local(model, radius, global_tokens=(0,)):
    return LocalAttend(radius=radius, global_tokens=global_tokens, dense_below=0).run(model, PassContext()).model


def run(model, ids, mask):
    with torch.no_grad():
        return model.callable_module()(torch.from_numpy(ids), torch.from_numpy(mask))[0].numpy()


def ids_of(batch, length, seed=0):
    return np.random.default_rng(seed).integers(4, 24, (batch, length))


def dense(model, pattern, ids, mask):
    """The same pattern as a mask of transformers' own full attention."""
    seen = pattern.mask(ids.shape[1])[None, None] & (torch.from_numpy(mask)[:, None, None, :] > 0)
    additive = torch.where(seen, 0.0, MASKED)
    with torch.no_grad():
        return model.module(input_ids=torch.from_numpy(ids), attention_mask=additive).logits.numpy()


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 33, 61, 64])
@pytest.mark.parametrize("radius", [1, 7, 16, 500])
def test_any_length_beside_any_radius(model, length, radius):
    """Shorter than the radius, divided by no block, one token alone."""
    ids, mask = ids_of(2, length), np.ones((2, length), np.int64)
    expected = dense(model, LocalPattern.radius(radius, global_tokens=(0,)), ids, mask)
    np.testing.assert_allclose(run(local(model, radius), ids, mask), expected, atol=1e-4)


@pytest.mark.parametrize("global_tokens", [(0, 40), (63,), (0, 5, 1000)])
def test_global_positions_outside_the_input_are_left_out(model, global_tokens):
    ids, mask = ids_of(1, 30), np.ones((1, 30), np.int64)
    inside = tuple(token for token in global_tokens if token < 30)
    expected = run(local(model, 3, inside), ids, mask)
    np.testing.assert_array_equal(run(local(model, 3, global_tokens), ids, mask), expected)


def test_rows_of_unequal_lengths_don_t_change_each_other(model):
    made = local(model, 4)
    lengths = (50, 3, 1, 27)
    ids = np.full((len(lengths), max(lengths)), model.signature.pad_token_id)
    mask = np.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length], mask[row, :length] = ids_of(1, length, row)[0], 1
    together = run(made, ids, mask)
    for row, length in enumerate(lengths):
        alone = run(made, ids_of(1, length, row), np.ones((1, length), np.int64))
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)


def test_a_row_without_any_key_is_finite_and_leaves_the_others_alone(model):
    made = local(model, 4)
    ids, mask = ids_of(2, 40), np.ones((2, 40), np.int64)
    expected = run(made, ids[:1], mask[:1])
    mask[1] = 0
    found = run(made, ids, mask)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:1], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("radius=0", "radius = 0"),
        ("radius=-3", "radius = -3"),
        ("radius=8\nglobal_tokens=[4, 2]", "ascending"),
        ("radius=8\nglobal_tokens=[-1]", "global_tokens"),
    ],
)
def test_settings_that_make_no_sense_are_refused_from_the_command_line(tiny_model, tmp_path, capsys, setting, message):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'version = 1\n[[steps]]\npass = "local_attention"\n{setting}\n', encoding="utf-8")
    status = main(["compile", str(tiny_model), "-o", str(tmp_path / "bundle"), "--recipe", str(recipe)])
    err = capsys.readouterr().err
    assert (status, message in err, "local_attention" in err) == (2, True, True), err
    assert not (tmp_path / "bundle").exists()


def test_lengths_that_the_model_has_no_positions_for_are_refused(tiny_model, tmp_path, capsys):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('version = 1\n[[steps]]\npass = "local_attention"\nradius = 8\n', encoding="utf-8")
    arguments = ["compile", str(tiny_model), "-o", str(tmp_path / "bundle"), "--recipe", str(recipe)]
    assert main([*arguments, "--sequence-lengths", "100"]) == 2
    assert "position embeddings for 64 tokens" in capsys.readouterr().err


# ---- recovery of a model that reads longer inputs than it was trained on ----


@pytest.fixture(scope="module")
def long_rows():
    rng = np.random.default_rng(8)
    texts = [" ".join(rng.choice(WORDS, length)) for length in (120, 70, 90, 110, 30, 120, 64, 100, 80, 120, 95, 105)]
    rows = Rows(Samples("long", tuple(Sample(text) for text in texts), "digest of long"), 128)
    return PassContext(data=Data(Rows(None, 128), rows, rows, rows))


def test_the_teacher_reads_the_whole_of_what_the_student_reads(model, long_rows):
    """It is the model with extended positions and full attention, and not the 64 tokens that it was trained on."""
    result = run_passes(model, [ExtendPositions(128), LocalAttend(radius=6, dense_below=0)], long_rows)
    teacher, samples = result.uncompressed, long_rows.data.training.encoded(result.model)
    assert max(row["input_ids"].shape[1] for row in samples.feeds) == 122
    answers = Teacher(teacher, samples, ())
    for index, row in enumerate(samples.feeds):
        ids = torch.from_numpy(row["input_ids"])
        expected = run(teacher, ids.numpy(), np.ones_like(ids.numpy()))
        cut = run(teacher, ids.numpy()[:, :64], np.ones_like(ids.numpy()[:, :64]))
        kept = answers._rows[index].outputs[0].numpy()
        np.testing.assert_allclose(kept, expected[0], atol=1e-5)
        assert ids.shape[1] <= 64 or np.abs(kept - cut[0]).max() > 1e-3


def test_recovery_brings_a_local_model_back_towards_full_attention(model, long_rows):
    steps = [
        ExtendPositions(128),
        LocalAttend(radius=2, dense_below=0),
        Recover(epochs=5, learning_rate=3e-3, batch_size=4),
    ]
    result = run_passes(model, steps, long_rows)
    before = run_passes(model, steps[:2], long_rows).model
    epochs = result.records[2].facts["epochs"]
    best = result.records[2].facts["best_epoch"]
    assert result.records[2].changed
    assert epochs[best]["validation_loss"] < 0.7 * epochs[0]["validation_loss"]
    samples = encode(model.signature, long_rows.data.training.samples, 128)

    def distance(student):
        rows = [(row["input_ids"], np.ones_like(row["input_ids"])) for row in samples.feeds]
        return sum(float(np.square(run(student, *row) - run(result.uncompressed, *row)).sum()) for row in rows)

    assert distance(result.model) < distance(before)
    assert json.loads(json.dumps(result.records[2].facts)) == result.records[2].facts
