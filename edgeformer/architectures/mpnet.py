"""MPNet: BERT's blocks, with a relative position bias shared by all layers."""

from .base import Architecture

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
)
