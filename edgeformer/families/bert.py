"""BERT and its children that kept its layer names: ELECTRA."""

from .base import Architecture, BlockLayout

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
    blocks=r"(^|\.)encoder\.layer$",
    layout=BlockLayout(
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        output="attention.output.dense",
        up=("intermediate.dense",),
        down="output.dense",
        attention="attention.self",
    ),
)
