"""Models of images rewritten for one size compute what transformers' own code computes at that size."""

import copy
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.errors import ModelError
from edgeformer.exportable import configured_size, make_exportable
from edgeformer.exportable.beit import RelativePositionBias
from edgeformer.exportable.patch_embedding import PatchEmbedding
from edgeformer.exportable.siglip import PoolingAttention
from edgeformer.families import architecture_for
from edgeformer.model.layers import quantizable_layers

SQUARE = ("clip-image", "siglip-image")
ALWAYS = ("dinov2", "beit", "swin")  # that take any size without being asked


def outputs(model, pixels, **options):
    with torch.no_grad():
        return tiny_images.output(model(pixels, **options))


def rewritten(model, size=None):
    made = copy.deepcopy(model)
    make_exportable(made, size)
    return made


def assert_equal(model, made, pixels, **options):
    # double precision of all but the softmax, which transformers computes in single
    torch.testing.assert_close(outputs(made, pixels), outputs(model, pixels, **options), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", tiny_images.IMAGES)
def test_at_the_config_s_size(name):
    model = tiny_images.tiny(name).double()
    made = rewritten(model)
    assert_equal(model, made, tiny_images.pixels(name, 3).double())
    assert sum(isinstance(part, PatchEmbedding) for part in made.modules()) == 1
    assert not any(isinstance(part, torch.nn.Conv2d | torch.nn.MultiheadAttention) for part in made.modules())


@pytest.mark.parametrize("size", [(16, 16), (40, 40), (32, 56), (50, 33)])
@pytest.mark.parametrize("name", tiny_images.IMAGES)
def test_at_another_size(name, size):
    """Fewer and more patches, oblong, and sides that no number of patches fills."""
    model = tiny_images.tiny(name).double()
    refused = {"swin": "a stage would have 2x2 tokens for windows of 4x4"} if size == (16, 16) else {}
    if size[0] != size[1]:
        refused = dict.fromkeys(SQUARE, "takes square images, got")
    if name in refused:
        with pytest.raises(ModelError, match=refused[name]):
            rewritten(model, size)
        return
    pixels = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    options = {} if name in ALWAYS else {"interpolate_pos_encoding": True}
    assert_equal(model, rewritten(model, size), pixels, **options)


@pytest.mark.parametrize("name", tiny_images.IMAGES)
def test_again_is_harmless_and_copies_compute_the_same(name):
    model = rewritten(tiny_images.tiny(name))
    pixels = tiny_images.pixels(name)
    before = outputs(model, pixels)
    torch.testing.assert_close(outputs(rewritten(model), pixels), before, rtol=0, atol=1e-6)


def test_the_bias_that_all_blocks_share():
    model = tiny_images.tiny(
        "beit", use_relative_position_bias=False, use_shared_relative_position_bias=True,
        use_absolute_position_embeddings=True,
    ).double()  # fmt: skip
    made = rewritten(model, (40, 24))
    assert isinstance(made.beit.shared_position_bias, RelativePositionBias)
    assert_equal(model, made, torch.randn(2, 3, 40, 24, dtype=torch.float64))


CLIP = {"text_config": tiny_images.MODELS["clip-text"][2], "vision_config": tiny_images.MODELS["clip-image"][2]}
VIT, SWIN, DINOV2 = (tiny_images.MODELS[name][2] for name in ("vit", "swin", "dinov2"))
OTHER_CLASSES = [
    ("ViTModel", "ViTConfig", VIT, None),
    ("DeiTForImageClassification", "DeiTConfig", VIT, (24, 40)),
    ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", DINOV2, (40, 32)),
    ("CLIPVisionModel", "CLIPVisionConfig", VIT, None),
    ("CLIPForImageClassification", "CLIPConfig", CLIP, None),
    ("SiglipForImageClassification", "SiglipConfig", CLIP, None),
    ("SwinForImageClassification", "SwinConfig", {**SWIN, "use_absolute_embeddings": True}, None),
    ("SwinModel", "SwinConfig", SWIN, (64, 48)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "config", "settings", "size"), OTHER_CLASSES, ids=[case[0] for case in OTHER_CLASSES])
def test_other_classes_of_the_families(kind, config, settings, size):
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, config)(**settings, attn_implementation="eager")
    model = getattr(transformers, kind)(config).eval().double()
    made = rewritten(model, size)
    family = architecture_for(config.model_type)
    assert [path for path in quantizable_layers(made) if family.role(path) == "other"] == []
    pixels = torch.randn(2, 3, *(size or configured_size(config)), dtype=torch.float64)
    options = {"interpolate_pos_encoding": True} if kind.startswith("DeiT") else {}
    with torch.no_grad():
        torch.testing.assert_close(made(pixels)[0], model(pixels, **options)[0], rtol=0, atol=1e-6)


def test_no_patch_fits():
    with pytest.raises(ModelError, match="an image of 4x24 pixels has no patch of 8x8"):
        rewritten(tiny_images.tiny("vit"), (4, 24))


def test_another_size_than_the_one_it_was_made_for_is_refused():
    with pytest.raises(ValueError, match="doesn't match model"):
        outputs(rewritten(tiny_images.tiny("vit"), (16, 32)), tiny_images.pixels("vit"))


def test_the_pooling_attention_of_siglip():
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64).eval()
    torch.nn.init.normal_(theirs.in_proj_bias)
    query, keys = torch.randn(2, 1, 12, dtype=torch.float64), torch.randn(2, 7, 12, dtype=torch.float64)
    wanted = theirs(query, keys, keys)[0]
    torch.testing.assert_close(PoolingAttention(theirs)(query, keys, keys)[0], wanted, rtol=0, atol=1e-12)
