"""DINOv2, with registers and without: ViT's blocks with a factor for each channel of what a block adds."""

from . import vit
from .base import Architecture

ARCHITECTURE = Architecture(
    name="dinov2",
    model_types=("dinov2", "dinov2_with_registers"),
    roles=vit.ROLES,
    blocks=r"(^|\.)encoder\.layer$",
    layout=vit.LAYOUT,
    images="vision",
)
