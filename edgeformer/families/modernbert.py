"""ModernBERT: query, key and value in one linear (Wqkv), so passes that cut heads have no layout to work with."""

from .base import Architecture

ARCHITECTURE = Architecture(
    name="modernbert",
    model_types=("modernbert",),
    roles=(
        (r"(^|\.)embeddings\.", "embedding"),
        (r"\.?layers\.\d+\.attn\.(Wqkv|Wo)$", "attention"),
        (r"\.?layers\.\d+\.mlp\.(Wi|Wo)$", "feed_forward"),
        (r"^head\.dense$", "pooler"),
        (r"^(classifier|qa_outputs)(\.|$)", "head"),
    ),
)
