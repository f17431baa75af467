"""CLIP: two towers of the same blocks, for images and for texts, each with a projection into one space."""

from .base import Architecture, BlockLayout, Role, Towers

# of CLIP and the families that kept its names
ROLES: tuple[tuple[str, Role], ...] = (
    (r"(^|\.)embeddings\.", "embedding"),
    (r"(^|\.)layers\.\d+\.self_attn\.", "attention"),
    (r"(^|\.)layers\.\d+\.mlp\.", "feed_forward"),
    (r"^(classifier|(visual|text)_projection)$", "head"),
)
LAYOUT = BlockLayout(
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    output="self_attn.out_proj",
    up=("mlp.fc1",),
    down="mlp.fc2",
    attention="self_attn",
    heads="num_heads",
    head_dim="head_dim",
    width=None,
)

ARCHITECTURE = Architecture(
    name="clip",
    model_types=("clip", "clip_vision_model", "clip_text_model"),
    roles=ROLES,
    blocks=r"(^|\.)encoder\.layers$",
    layout=LAYOUT,
    images="clip",
    towers=Towers(),
)
