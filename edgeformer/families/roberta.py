"""RoBERTa, XLM-RoBERTa and CamemBERT: BERT's blocks with a head of their own."""

from .base import Architecture, BlockLayout

ARCHITECTURE = Architecture(
    name="roberta",
    model_types=("roberta", "xlm-roberta", "camembert"),
    roles=(
        (r"(^|\.)embeddings\.", "embedding"),
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
