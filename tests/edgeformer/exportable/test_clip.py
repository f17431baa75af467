"""CLIP's texts: the state at the first end token of each row."""

import copy
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
import tiny_images

from edgeformer.exportable import make_exportable


@pytest.mark.parametrize("end", [98, 2])
def test_texts_of_all_lengths(end):
    """With 2 in the config, as in files from before transformers 4.31, the end token is the one with the largest id."""
    model = tiny_images.tiny("clip-text", eos_token_id=end).double()
    made = copy.deepcopy(model)
    make_exportable(made)
    ids = torch.randint(5, 90, (tiny_images.TOKENS, tiny_images.TOKENS))
    for row in range(tiny_images.TOKENS):
        ids[row, row:] = 98
    with torch.no_grad():
        torch.testing.assert_close(made(ids).text_embeds, model(ids).text_embeds, rtol=0, atol=1e-12)
