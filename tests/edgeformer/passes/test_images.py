"""Passes on models of images: the same as on texts, unchanged, patches and stages included."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.data.encoded import EncodedSamples
from edgeformer.exportable import make_exportable
from edgeformer.model.base import from_module
from edgeformer.model.layers import quantizable_layers
from edgeformer.passes.base import PassContext
from edgeformer.passes.prune_n_m import PruneNM
from edgeformer.passes.prune_structured import PruneStructured
from edgeformer.passes.quantize import Quantize
from edgeformer.passes.smooth import Smooth
from edgeformer.passes.trim_vocabulary import TrimVocabulary
from edgeformer.pruning.units import prunable_blocks
from edgeformer.recipe import Recipe
from edgeformer.sensitivity.measure import ProfileSettings, profile
from edgeformer_converters.base import quantized_layers

NAMES = ("vit", "dinov2", "beit", "swin", "clip-image", "siglip-image")
FORMATS = ("int8", "int4")
PATCHES = "linear"  # the end of the path of the patches' layer


@dataclass(frozen=True)
class Context(PassContext):
    """Rows that are tensors already."""

    rows: EncodedSamples | None = None

    def calibration(self, model, user, min_rows=1):
        return self.rows


def model_of(name):
    module = tiny_images.tiny(name)
    make_exportable(module)
    made = from_module(module, {"pixel_values": tiny_images.pixels(name)}, name=name)
    return replace(made, architecture=module.config.model_type)


def smooth_pixels(name, count, seed):
    """Neighbours resemble each other, as in pictures; on noise there is nothing for GPTQ or a repair to learn."""
    size = tiny_images.MODELS[name][2]["image_size"]
    coarse = torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return 2 * torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")


def rows_of(name, count=64):
    pixels = smooth_pixels(name, count, 0)
    feeds = tuple({"pixel_values": row[None].numpy()} for row in pixels)
    return EncodedSamples(feeds, None, "random")


def outputs(model, name):
    with torch.no_grad():
        return model.callable_module()(smooth_pixels(name, 32, 99))[0]


def error(model, changed, name):
    wanted = outputs(model, name)
    return float((outputs(changed, name) - wanted).square().sum() / wanted.square().sum())


@pytest.mark.parametrize("name", NAMES)
def test_gptq_sees_every_layer_and_is_nearer_than_rounding(name):
    model, context = model_of(name), Context(rows=rows_of(name))
    roles = dict.fromkeys(("embedding", "attention", "feed_forward", "pooler", "head", "other"), "int4")
    rounded = Quantize(**roles).run(model, context).model
    result = Quantize(algorithm="gptq", **roles).run(model, context)
    linears = {path for path, layer in quantizable_layers(model.module).items() if isinstance(layer, torch.nn.Linear)}
    assert set(quantized_layers(result.model.module)) == linears
    assert any(path.endswith(PATCHES) for path in linears)
    assert error(model, result.model, name) < 0.9 * error(model, rounded, name)
    assert "not_sequential_because" not in result.facts


@pytest.mark.parametrize("preset", ["int8", "balanced", "small", "tiny"])
@pytest.mark.parametrize("name", NAMES)
def test_every_preset_has_a_plan(name, preset):
    (step,) = (step for step in Recipe.preset(preset).steps if isinstance(step, Quantize))
    model = model_of(name)
    plan = step.plan(model)
    assert set(plan) >= {path for path in quantizable_layers(model.module) if "mlp" in path or path.endswith("_proj")}
    queries = {str(plan[path]) for path in plan if path.endswith("q_proj") and "head." not in path}
    assert queries == ({"int4"} if preset == "small" else {"int8"})


def test_a_model_without_tokens_has_no_vocabulary_to_trim():
    """So that the preset "tiny" is one for images, too."""
    model = model_of("vit")
    TrimVocabulary().requires(model, Context())
    result = TrimVocabulary().run(model, Context())
    TrimVocabulary().ensures(result.model)
    assert (result.model, result.changed) == (model, False)
    assert result.facts == {"left_out": "the model reads no tokens"}


@pytest.mark.parametrize("name", NAMES)
def test_structured_pruning(name):
    model, context = model_of(name), Context(rows=rows_of(name))
    settings = {"heads": 0.25, "channels": 0.25, "importance": "taylor", "round_to": 8}
    plain = PruneStructured(**settings, reconstruct=False).run(model, context)
    repaired = PruneStructured(**settings).run(model, context)
    before, after = (sum(block.heads for block in prunable_blocks(m)) for m in (model, repaired.model))
    assert after == round(0.75 * before)
    assert error(model, repaired.model, name) < error(model, plain.model, name)


@pytest.mark.parametrize("name", NAMES)
def test_smoothing_changes_nothing_but_ranges(name):
    model = model_of(name)
    result = Smooth().run(model, Context(rows=rows_of(name)))
    assert result.facts["largest_output_difference"] < 1e-4


def test_two_of_four_weights_in_every_stage():
    model = model_of("swin")
    result = PruneNM().run(model, Context(rows=rows_of("swin")))
    PruneNM().ensures(result.model)
    for block in prunable_blocks(result.model):
        assert float((result.model.module.get_submodule(block.down).weight == 0).float().mean()) == 0.5


@pytest.mark.parametrize("name", ["vit", "swin", "siglip-image"])
def test_sensitivity_of_every_layer_from_any_block_on(name):
    model = model_of(name)
    rows = rows_of(name, 6)
    exact = profile(model, rows, ProfileSettings(FORMATS, blocks_after=None))
    quick = profile(model, rows, ProfileSettings(FORMATS, blocks_after=0))
    assert exact.replay_reason is quick.replay_reason is None
    for whole, part in zip(exact.layers, quick.layers, strict=True):
        assert whole.path == part.path
        for text in FORMATS:
            assert whole.formats[text].damage > 0
    paths = [layer.path for layer in exact.layers]
    assert any(path.endswith(PATCHES) for path in paths)
