"""DeBERTa, versions 1 to 3: BERT's blocks with projections of relative positions beside the content's.

Version 1 keeps query, key and value of a head side by side in one linear, so it has no layout to cut heads by.
"""

from .base import Architecture, BlockLayout, Role

_ROLES: tuple[tuple[str, Role], ...] = (
    (r"(^|\.)(rel_)?embeddings(\.|$)", "embedding"),
    (r"\.layer\.\d+\.attention\.", "attention"),
    (r"\.layer\.\d+\.(intermediate|output)\.dense$", "feed_forward"),
    (r"(^|\.)encoder\.conv\.", "other"),
    (r"(^|\.)pooler\.", "pooler"),
    (r"^(classifier|qa_outputs)(\.|$)", "head"),
)

ARCHITECTURE_V1 = Architecture(
    name="deberta",
    model_types=("deberta",),
    roles=_ROLES,
    no_layout="query, key and value are one linear, side by side in each head",
)

ARCHITECTURE_V2 = Architecture(
    name="deberta-v2",
    model_types=("deberta-v2",),
    roles=_ROLES,
    blocks=r"(^|\.)encoder\.layer$",
    layout=BlockLayout(
        query="attention.self.query_proj",
        key="attention.self.key_proj",
        value="attention.self.value_proj",
        output="attention.output.dense",
        up=("intermediate.dense",),
        down="output.dense",
        attention="attention.self",
        with_heads=("attention.self.pos_key_proj", "attention.self.pos_query_proj"),
    ),
)
