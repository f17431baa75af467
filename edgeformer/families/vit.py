"""ViT: patches of an image as tokens, blocks that normalize before attention and before the feed-forward layers."""

from .base import Architecture, BlockLayout, Role

# of ViT and the families that kept its names
ROLES: tuple[tuple[str, Role], ...] = (
    (r"(^|\.)embeddings\.", "embedding"),
    (r"(^|\.)layers?\.\d+\.attention\.", "attention"),
    (r"(^|\.)layers?\.\d+\.mlp\.", "feed_forward"),
    (r"(^|\.)pooler\.", "pooler"),
    (r"^(cls_|distillation_)?classifier$", "head"),
)
LAYOUT = BlockLayout(
    query="attention.q_proj",
    key="attention.k_proj",
    value="attention.v_proj",
    output="attention.o_proj",
    up=("mlp.fc1",),
    down="mlp.fc2",
    attention="attention",
    head_dim="head_dim",
    width=None,
)

ARCHITECTURE = Architecture(
    name="vit",
    model_types=("vit",),
    roles=ROLES,
    blocks=r"(^|\.)layers$",
    layout=LAYOUT,
    images="vision",
)
