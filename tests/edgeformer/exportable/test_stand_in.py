"""Layers of ours give the family's own back, and stand in their place again with whatever they hold by then."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.exportable import make_exportable
from edgeformer.exportable.stand_in import StandIn, put_originals, stand_again


@pytest.mark.parametrize("name", ["clip-image", "siglip-image", "vit"])
def test_there_and_back(name):
    model, pixels = tiny_images.tiny(name), tiny_images.pixels(name)
    names = set(model.state_dict())
    make_exportable(model.requires_grad_(False))
    with torch.no_grad():
        wanted = tiny_images.output(model(pixels))
        kinds = put_originals(model)
        assert set(model.state_dict()) == names
        assert not any(isinstance(part, StandIn) for part in model.modules())
        torch.testing.assert_close(tiny_images.output(model(pixels)), wanted)
        for path in kinds:
            for parameter in model.get_submodule(path).parameters():
                parameter.mul_(2)
        changed = tiny_images.output(model(pixels))
        stand_again(model, kinds)
        torch.testing.assert_close(tiny_images.output(model(pixels)), changed)
    assert {path: type(part) for path, part in model.named_modules() if isinstance(part, StandIn)} == kinds
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(part.training for part in model.modules())
