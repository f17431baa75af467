"""Swin: stages of blocks, each of another width, with attention in windows; between them neighbours are merged."""

from dataclasses import replace

from . import vit
from .base import Architecture

ARCHITECTURE = Architecture(
    name="swin",
    model_types=("swin",),
    roles=(
        (r"(^|\.)embeddings\.", "embedding"),
        (r"\.blocks\.\d+\.attention\.", "attention"),
        (r"\.blocks\.\d+\.mlp\.", "feed_forward"),
        (r"\.downsample\.reduction$", "feed_forward"),
        (r"^classifier$", "head"),
    ),
    blocks=r"(^|\.)layers\.\d+\.blocks$",
    layout=replace(vit.LAYOUT, head_tables=("attention.relative_position_bias.relative_position_bias_table",)),
    images="swin",
)
