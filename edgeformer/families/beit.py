"""BEiT: ViT's blocks with a bias of relative positions, which each block has for itself or all share."""

from dataclasses import replace

from . import vit
from .base import Architecture

ARCHITECTURE = Architecture(
    name="beit",
    model_types=("beit",),
    roles=vit.ROLES,
    blocks=r"(^|\.)layers$",
    layout=replace(
        vit.LAYOUT,
        head_tables=("relative_position_bias.relative_position_bias_table",),
        fixed_heads="all blocks share one bias of relative positions with a column a head",
        fixed_by=r"(^|\.)shared_position_bias\.",
    ),
    images="beit",
)
