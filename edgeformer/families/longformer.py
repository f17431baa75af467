"""Longformer: RoBERTa's blocks with a second set of projections for global tokens.

It has no layout: cutting a head would have to cut both sets, which no pass does.
"""

from .base import Architecture

ARCHITECTURE = Architecture(
    name="longformer",
    model_types=("longformer",),
    roles=(
        (r"(^|\.)embeddings\.", "embedding"),
        (r"\.layer\.\d+\.attention\.", "attention"),
        (r"\.layer\.\d+\.(intermediate|output)\.dense$", "feed_forward"),
        (r"(^|\.)pooler\.", "pooler"),
        (r"^(classifier|qa_outputs)(\.|$)", "head"),
    ),
)
