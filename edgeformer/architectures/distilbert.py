"""DistilBERT."""

from .base import Architecture

ARCHITECTURE = Architecture(
    name="distilbert",
    model_types=("distilbert",),
    roles=(
        (r"(^|\.)embeddings\.", "embedding"),
        (r"\.layer\.\d+\.attention\.", "attention"),
        (r"\.layer\.\d+\.ffn\.lin[12]$", "feed_forward"),
        (r"^(pre_classifier|classifier|qa_outputs)$", "head"),
    ),
)
