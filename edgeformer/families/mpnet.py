"""MPNet: BERT's blocks, with a relative position bias shared by all layers."""

from .base import Architecture, BlockLayout

ARCHITECTURE = Architecture(
    name="mpnet",
    model_types=("mpnet",),
    roles=(
        (r"(^|\.)embeddings\.", "embedding"),
        (r"relative_attention_bias$", "other"),
        (r"\.layer\.\d+\.attention\.", "attention"),
        (r"\.layer\.\d+\.(intermediate|output)\.dense$", "feed_forward"),
        (r"(^|\.)pooler\.", "pooler"),
        (r"^(classifier|qa_outputs)(\.|$)", "head"),
    ),
    blocks=r"(^|\.)encoder\.layer$",
    layout=BlockLayout(
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        output="attention.attn.o",
        up=("intermediate.dense",),
        down="output.dense",
        attention="attention.attn",
        fixed_heads="all blocks share one position bias with a column a head",
    ),
)
