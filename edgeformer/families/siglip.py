"""SigLIP: CLIP's blocks; the image tower ends in attention of one learned query over the patches."""

from . import clip
from .base import Architecture, Towers

ARCHITECTURE = Architecture(
    name="siglip",
    model_types=("siglip", "siglip_vision_model", "siglip_text_model"),
    roles=(*clip.ROLES, (r"(^|\.)head(\.|$)", "pooler")),
    blocks=r"(^|\.)encoder\.layers$",
    layout=clip.LAYOUT,
    images="siglip",
    towers=Towers(fixed_length=True, sigmoid=True),
)
