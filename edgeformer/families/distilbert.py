"""DistilBERT."""

from .base import Architecture, BlockLayout

ARCHITECTURE = Architecture(
    name="distilbert",
    model_types=("distilbert",),
    roles=(
        (r"(^|\.)embeddings\.", "embedding"),
        (r"\.layer\.\d+\.attention\.", "attention"),
        (r"\.layer\.\d+\.ffn\.lin[12]$", "feed_forward"),
        (r"^(pre_classifier|classifier|qa_outputs)$", "head"),
    ),
    blocks=r"(^|\.)transformer\.layer$",
    layout=BlockLayout(
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        output="attention.out_lin",
        up=("ffn.lin1",),
        down="ffn.lin2",
        attention="attention",
        heads="n_heads",
        width=None,
        config_channels="hidden_dim",
    ),
)
