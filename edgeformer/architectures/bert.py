"""BERT and its children that kept its layer names: ELECTRA."""

from .base import Architecture

ARCHITECTURE = Architecture(
    name="bert",
    model_types=("bert", "electra"),
    roles=(
        (r"(^|\.)embeddings\.|embeddings_project$", "embedding"),
        (r"\.layer\.\d+\.attention\.", "attention"),
        (r"\.layer\.\d+\.(intermediate|output)\.dense$", "feed_forward"),
        (r"(^|\.)pooler\.", "pooler"),
        (r"^(classifier|qa_outputs)(\.|$)", "head"),
    ),
)
