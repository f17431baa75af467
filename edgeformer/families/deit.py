"""DeiT: ViT's blocks; a distilled model has a second token and a second classifier, and averages both."""

from . import vit
from .base import Architecture

ARCHITECTURE = Architecture(
    name="deit",
    model_types=("deit",),
    roles=vit.ROLES,
    blocks=r"(^|\.)layers$",
    layout=vit.LAYOUT,
    images="vision",
)
