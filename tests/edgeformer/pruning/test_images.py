"""Heads, channels and blocks of models of images: found, cut, scored and repaired like those of texts."""

import copy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.data.batching import padded_batches
from edgeformer.data.encoded import EncodedSamples
from edgeformer.errors import RecipeError
from edgeformer.exportable import make_exportable
from edgeformer.families import architecture_for
from edgeformer.model.base import from_module
from edgeformer.probing.prefix_replay import PrefixReplay
from edgeformer.pruning.blockwise import prune_and_reconstruct
from edgeformer.pruning.importance import IMPORTANCES
from edgeformer.pruning.surgery import prune_block, remove_layers
from edgeformer.pruning.units import Kept, prunable_blocks
from edgeformer.tasks.tensors import Tensors

NAMES = tuple(tiny_images.MODELS)
MADE = {}


def model_of(name, **options):
    """The tiny model as a Model of plain tensors, rewritten for the exporters, made once each."""
    key = (name, *options)
    if key not in MADE:
        module = tiny_images.tiny(name, **options)
        make_exportable(module)
        text = name in tiny_images.TEXTS
        feeds = {"input_ids": tiny_images.tokens()} if text else {"pixel_values": tiny_images.pixels(name)}
        MADE[key] = replace(from_module(module, feeds, name=name), architecture=module.config.model_type)
    return MADE[key]


def rows_of(model, count):
    make = tiny_images.tokens if model.name in tiny_images.TEXTS else lambda n, s: tiny_images.pixels(model.name, n, s)
    feeds = [{model.inputs[0].name: make(1, seed).numpy()} for seed in range(count)]
    return EncodedSamples(tuple(feeds), None, "random")


def outputs(model, module):
    with torch.no_grad():
        return model.with_module(module).callable_module()(*model.example_inputs)


def silenced(module, blocks, kept):
    """The reference: nothing is cut, the columns that read what was removed are zero."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for block, keep in zip(blocks, kept, strict=True):
            heads = module.get_submodule(block.output).weight.view(-1, block.heads, block.head_dim)
            heads[:, [head for head in range(block.heads) if head not in keep.heads]] = 0
            down = module.get_submodule(block.down).weight
            down[:, [channel for channel in range(block.channels) if channel not in keep.channels]] = 0
    return module


def pruned(model, kept):
    module = model.copy_module()
    for block, keep in zip(prunable_blocks(model), kept, strict=True):
        prune_block(module, block, architecture_for(model.architecture), keep)
    return module


def some(data, count):
    return tuple(sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1))))


def assert_equal(model, module, reference):
    for got, wanted in zip(outputs(model, module), outputs(model, reference), strict=True):
        torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_equal_to_the_silenced_dense_model(name, data):
    model = model_of(name)
    blocks = prunable_blocks(model)
    kept = [Kept(some(data, block.heads), some(data, block.channels)) for block in blocks]
    module = pruned(model, kept)
    assert_equal(model, module, silenced(model.module, blocks, kept))
    left = prunable_blocks(model.with_module(module))
    assert [(b.heads, b.channels) for b in left] == [(len(k.heads), len(k.channels)) for k in kept]


def test_stages_are_found_in_their_order_with_their_widths():
    blocks = prunable_blocks(model_of("swin"))
    assert [(b.index, b.heads, b.channels) for b in blocks] == [(0, 2, 32), (1, 2, 32), (2, 4, 64), (3, 4, 64)]
    assert [b.stack for b in blocks] == [f"swin.encoder.layers.{stage}.blocks" for stage in (0, 0, 1, 1)]


def test_heads_that_share_a_bias_stay():
    shared = {"use_relative_position_bias": False, "use_shared_relative_position_bias": True}
    model = model_of("beit", **shared)
    with pytest.raises(RecipeError, match="all blocks share one bias of relative positions"):
        pruned(model, [Kept((0, 1), tuple(range(48)))] * 2)
    kept = [Kept((0, 1, 2, 3), tuple(range(0, 48, 3)))] * 2
    assert_equal(model, pruned(model, kept), silenced(model.module, prunable_blocks(model), kept))
    assert architecture_for("beit").fixed_heads(model_of("beit").module) is None


@pytest.mark.parametrize(
    ("name", "gone", "depths"), [("swin", (1, 2), [1, 1]), ("swin", (2, 3), [2, 0]), ("vit", (1,), None)]
)
def test_whole_blocks_go(name, gone, depths):
    model = model_of(name)
    module, reference = model.copy_module(), model.copy_module()
    family = architecture_for(model.architecture)
    remove_layers(module, family, gone)
    for index in gone:  # the reference: a block that adds nothing
        block = family.find_blocks(reference)[index]
        for path in (block.output, block.down):
            torch.nn.init.zeros_(reference.get_submodule(path).weight)
            torch.nn.init.zeros_(reference.get_submodule(path).bias)
    assert_equal(model, module, reference)
    config = module.config
    assert (config.depths if depths else config.num_hidden_layers) == (depths or 1)


@pytest.mark.parametrize(("gone", "message"), [((4,), "0…3"), ((0, 1, 2, 3), "all 4")])
def test_blocks_that_can_not_go(gone, message):
    with pytest.raises(RecipeError, match=message):
        remove_layers(model_of("swin").copy_module(), architecture_for("swin"), gone)


@pytest.mark.parametrize("name", ["vit", "swin"])
def test_taylor_is_the_squared_derivative_of_each_row(name, monkeypatch):
    """A gate scales the columns that read a unit, in all windows of a row at once."""
    monkeypatch.setattr(Tensors, "row_losses", lambda self, outputs, *_: outputs[0].square().sum(dim=1))
    model = model_of(name)
    blocks, rows = prunable_blocks(model), rows_of(model, 5)
    found = IMPORTANCES["taylor"].score(model, blocks, rows, 0)
    module = model.copy_module().requires_grad_(True)
    run = model.with_module(module).callable_module()
    expected = [[0.0, 0.0] for _ in blocks]
    for feeds in rows.feeds:
        module.zero_grad()
        run(torch.from_numpy(feeds["pixel_values"]))[0].square().sum().backward()
        for number, block in enumerate(blocks):
            for half, (path, units) in enumerate(((block.output, block.heads), (block.down, block.channels))):
                weight = module.get_submodule(path).weight
                gate = (weight * weight.grad).sum(0).reshape(units, -1).sum(1).detach().double()
                expected[number][half] += gate.square() / 5
    for scores, (heads, channels) in zip(found, expected, strict=True):
        torch.testing.assert_close(scores.heads, heads, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(scores.channels, channels, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["vit", "beit", "swin"])
def test_reconstruction_brings_the_outputs_nearer(name):
    model = model_of(name)
    blocks = prunable_blocks(model)
    kept = [Kept(tuple(range(b.heads // 2)), tuple(range(b.channels // 2))) for b in blocks]
    plain = pruned(model, kept)
    batches = padded_batches(model, rows_of(model, 24))
    tensors, facts = prune_and_reconstruct(model, blocks, architecture_for(model.architecture), kept, batches)
    repaired = copy.deepcopy(plain)
    assert not repaired.load_state_dict(tensors, strict=False).unexpected_keys
    assert len(facts) == len(blocks)

    def distance(module):
        return float((outputs(model, module)[0] - outputs(model, model.module)[0]).square().mean())

    assert distance(repaired) < 0.9 * distance(plain)


@pytest.mark.parametrize("name", ["vit", "swin", "clip-image"])
def test_runs_from_any_block_on_give_what_a_whole_run_gives(name):
    model = model_of(name)
    replay = PrefixReplay(model)
    (batch,) = padded_batches(model, rows_of(model, 3))
    wanted = replay.record(batch)
    for start in range(replay.blocks + 1):
        torch.testing.assert_close(replay.run(start), wanted)
    for stop in range(1, replay.blocks):
        torch.testing.assert_close(replay.run_until(0, stop), replay.hidden_before(stop))
    found = replay.gradients(lambda results: [tuple(torch.ones_like(result) for result in results)])
    assert {block: grad.shape[1:] for block, grad in found.items()} == {
        block: replay.hidden_before(block).shape for block in range(1, replay.blocks)
    }
