"""What families of images say of their layers, on tiny models of each."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.errors import ModelError
from edgeformer.exportable import make_exportable
from edgeformer.families import architecture_for
from edgeformer.model.layers import quantizable_layers

BLOCKS = {"attention": 8, "feed_forward": 4}  # of two blocks
ROLES = {
    "vit": {**BLOCKS, "embedding": 1, "head": 1},
    "deit": {**BLOCKS, "embedding": 1, "head": 2},
    "dinov2": {**BLOCKS, "embedding": 1, "head": 1},
    "beit": {**BLOCKS, "embedding": 1, "head": 1},
    "swin": {"attention": 16, "feed_forward": 9, "embedding": 1, "head": 1},
    "clip-image": {**BLOCKS, "embedding": 2, "head": 1},
    "clip-text": {**BLOCKS, "embedding": 2, "head": 1},
    "siglip-image": {**BLOCKS, "embedding": 2, "pooler": 6},
    "siglip-text": {**BLOCKS, "embedding": 2, "pooler": 1},
}


@pytest.mark.parametrize("name", tiny_images.MODELS)
def test_every_layer_has_its_role(name):
    model = tiny_images.tiny(name)
    family = architecture_for(model.config.model_type)
    assert family.name == name.partition("-")[0]
    assert family.images is not None
    make_exportable(model)
    assert Counter(family.role(path) for path in quantizable_layers(model)) == ROLES[name]


@pytest.mark.parametrize("name", tiny_images.MODELS)
def test_blocks_have_the_heads_and_channels_of_the_config(name):
    model = tiny_images.tiny(name)
    blocks = architecture_for(model.config.model_type).find_blocks(model)
    if name == "swin":
        assert [(b.heads, b.head_dim, b.channels) for b in blocks] == [(2, 8, 32)] * 2 + [(4, 8, 64)] * 2
    else:
        assert [(b.heads, b.head_dim) for b in blocks] == [(4, 8)] * 2
    assert [bool(b.head_tables) for b in blocks] == [name in ("beit", "swin")] * len(blocks)


def test_other_feed_forward_layers_than_the_family_s_are_said():
    model = tiny_images.tiny("dinov2", use_swiglu_ffn=True)
    with pytest.raises(ModelError, match=r"isn't built as edgeformer/families says: .*fc2"):
        architecture_for("dinov2").find_blocks(model)


def test_both_towers_of_a_model_have_blocks():
    from transformers import CLIPConfig, CLIPModel

    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    model = CLIPModel(CLIPConfig(text_config=settings, vision_config={**settings, "image_size": 16, "patch_size": 8}))
    blocks = architecture_for("clip").find_blocks(model)
    assert [block.stack for block in blocks] == ["text_model.encoder.layers", "vision_model.encoder.layers"]
