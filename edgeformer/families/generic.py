"""Any other encoder, read by the names that nearly all families use."""

from .base import Architecture

ARCHITECTURE = Architecture(
    name="generic",
    model_types=(),
    roles=(
        (r"embed(ding)?s?(\.|$|_)|(^|\.)wte$|(^|\.)wpe$", "embedding"),
        (
            r"\.\d+\..*(attention|attn|(^|[._])(query|key|value|q_proj|k_proj|v_proj|o_proj|out_proj|Wqkv|Wo)$)",
            "attention",
        ),
        (r"\.\d+\.", "feed_forward"),
        (r"(^|\.)pooler(\.|$)", "pooler"),
        (r"^(classifier|qa_outputs|score|head|lm_head|pre_classifier)(\.|$)", "head"),
    ),
)
