"""Adapters of models of images: merged equal to peft's own merge, before and after the rewriting for exporters.

peft has no defaults for these families: people name the projections, or say "all-linear".
"""

import copy
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.errors import AdapterError
from edgeformer.exportable import make_exportable
from edgeformer.exportable.patch_embedding import PatchEmbedding
from edgeformer.lora import merge_adapters, read_adapter

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings("ignore")

CLASSIFIERS = ("vit", "deit", "dinov2", "beit", "swin")
PATCHES = {"clip-image": "patch_embedding", "siglip-image": "patch_embedding"}  # others call it projection


def tuned(base, path, **config):
    """peft's model on a copy of ``base``, all that is trainable moved, saved to ``path``."""
    torch.manual_seed(1)
    model = peft.get_peft_model(copy.deepcopy(base), peft.LoraConfig(r=4, **config))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn(parameter.shape)
    model.eval().save_pretrained(path)
    return model


def result(module, name):
    x = tiny_images.tokens() if name in tiny_images.TEXTS else tiny_images.pixels(name)
    with torch.no_grad():
        return tiny_images.output(module(x))


def assert_merged_as_by_peft(name, path, **config):
    base = tiny_images.tiny(name)
    theirs = tuned(base, path, **config).merge_and_unload()
    wanted = result(theirs, name)
    assert not torch.allclose(wanted, result(base, name), atol=1e-2)
    rewritten = copy.deepcopy(base)
    make_exportable(rewritten)
    for module in (base, rewritten):
        kinds = [type(part) for part in module.modules()]
        made = merge_adapters(module, [read_adapter(path)]).module
        torch.testing.assert_close(result(made, name), wanted, rtol=1e-5, atol=2e-5 * float(wanted.abs().max()))
        assert [type(part) for part in made.modules()] == kinds == [type(part) for part in module.modules()]


@pytest.mark.parametrize("name", tiny_images.MODELS)
def test_queries_and_values(name, tmp_path):
    heads = {"modules_to_save": ["classifier"]} if name in CLASSIFIERS else {}
    assert_merged_as_by_peft(name, tmp_path, target_modules=["q_proj", "v_proj"], **heads)


@pytest.mark.parametrize("name", tiny_images.MODELS)
def test_all_linear(name, tmp_path):
    """The patches' Linear is none to peft, for which it is a convolution."""
    assert_merged_as_by_peft(name, tmp_path, target_modules="all-linear")


@pytest.mark.parametrize("name", tiny_images.IMAGES)
def test_the_convolution_of_the_patches(name, tmp_path):
    patches = PATCHES.get(name, "projection")
    assert_merged_as_by_peft(name, tmp_path, target_modules=["q_proj", patches])


def test_a_patch_convolution_that_was_trained_whole(tmp_path):
    assert_merged_as_by_peft("vit", tmp_path, target_modules=["q_proj"], modules_to_save=["projection", "classifier"])


def test_a_whole_clip_with_both_towers(tmp_path):
    from transformers import CLIPConfig, CLIPModel

    settings = {**tiny_images.MODELS["clip-text"][2], "projection_dim": 16}
    image = {**tiny_images.MODELS["clip-image"][2], "projection_dim": 16}
    torch.manual_seed(0)
    base = CLIPModel(CLIPConfig(text_config=settings, vision_config=image, projection_dim=16)).eval()
    theirs = tuned(base, tmp_path, target_modules=["q_proj", "v_proj"]).merge_and_unload()
    rewritten = copy.deepcopy(base)
    make_exportable(rewritten)
    made = merge_adapters(rewritten, [read_adapter(tmp_path)]).module
    feeds = {"input_ids": tiny_images.tokens(3), "pixel_values": tiny_images.pixels("clip-image")}
    with torch.no_grad():
        torch.testing.assert_close(
            made(**feeds).logits_per_image, theirs(**feeds).logits_per_image, rtol=1e-4, atol=1e-4
        )


def test_a_misfit_is_said_by_the_family_s_own_name(tmp_path):
    tuned(tiny_images.tiny("vit", hidden_size=16), tmp_path, target_modules=["projection"])
    base = tiny_images.tiny("vit")
    make_exportable(base)
    with pytest.raises(AdapterError, match=r"'vit\.embeddings\.patch_embeddings\.projection'.*\[32, 3, 8, 8\]"):
        merge_adapters(base, [read_adapter(tmp_path)])
    assert any(isinstance(part, PatchEmbedding) for part in base.modules())
