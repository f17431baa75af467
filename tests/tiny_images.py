"""Tiny models of images (and of texts beside them) with random weights, one a family, as tests of several rooms use."""

from __future__ import annotations

from typing import Any

import torch

LABELS = 3
WIDTH, PROJECTION, TOKENS, VOCABULARY = 32, 16, 12, 99
END = 2  # CLIP's end token here; the config's own number would lie outside of the vocabulary
_BLOCKS = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.2}
_VIT = {**_BLOCKS, "intermediate_size": 48, "image_size": 24, "patch_size": 8}
_TEXT = {
    **_BLOCKS, "intermediate_size": 48, "vocab_size": VOCABULARY, "max_position_embeddings": TOKENS,
    "eos_token_id": 98, "bos_token_id": 1, "pad_token_id": 98,
}  # fmt: skip
# name: class, its config's class, and settings; the first of each family is the one of its classifier
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vit": ("ViTForImageClassification", "ViTConfig", _VIT),
    "deit": ("DeiTForImageClassificationWithTeacher", "DeiTConfig", _VIT),
    "dinov2": (
        "Dinov2ForImageClassification", "Dinov2Config",
        {**_BLOCKS, "mlp_ratio": 2, "image_size": 24, "patch_size": 8, "layerscale_value": 0.5},
    ),
    "beit": (
        "BeitForImageClassification", "BeitConfig",
        {**_VIT, "use_relative_position_bias": True, "layer_scale_init_value": 0.5},
    ),
    "swin": (
        "SwinForImageClassification", "SwinConfig",
        {
            "image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
            "window_size": 4, "mlp_ratio": 2.0, "initializer_range": 0.2,
        },
    ),
    "clip-image": ("CLIPVisionModelWithProjection", "CLIPVisionConfig", {**_VIT, "projection_dim": PROJECTION}),
    "clip-text": ("CLIPTextModelWithProjection", "CLIPTextConfig", {**_TEXT, "projection_dim": PROJECTION}),
    "siglip-image": ("SiglipVisionModel", "SiglipVisionConfig", _VIT),
    "siglip-text": ("SiglipTextModel", "SiglipTextConfig", {**_TEXT, "projection_size": WIDTH}),
}  # fmt: skip
IMAGES = tuple(name for name in MODELS if not name.endswith("-text"))
TEXTS = tuple(name for name in MODELS if name.endswith("-text"))


def tiny(name: str, **settings: Any) -> Any:
    """The model called ``name``, in eval mode, every bias and table random so that none can be forgotten."""
    import transformers

    kind, config_kind, known = MODELS[name]
    labels = {"num_labels": LABELS} if "Classification" in kind else {}
    torch.manual_seed(0)
    config = getattr(transformers, config_kind)(**{**known, **labels, **settings}, attn_implementation="eager")
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if (parameter.dim() == 1 and path.endswith("bias")) or "table" in path or "position" in path:
                parameter.normal_(0, 0.3)
    return model


def pixels(name: str, rows: int = 2, seed: int = 0) -> torch.Tensor:
    """float32 [rows, 3, height, width] of the model's size."""
    size = MODELS[name][2]["image_size"]
    return torch.randn(rows, 3, size, size, generator=torch.Generator().manual_seed(seed))


def tokens(rows: int = 2, seed: int = 0) -> torch.Tensor:
    """int64 [rows, TOKENS], with an end token at another place in each row, and end tokens behind it."""
    ids = torch.randint(5, 90, (rows, TOKENS), generator=torch.Generator().manual_seed(seed))
    for row in range(rows):
        ids[row, TOKENS - 1 - 3 * (row % 3) :] = 98
    return ids


def output(result: Any) -> torch.Tensor:
    """The tensor of a model's result that a bundle would give: logits, or one vector a row."""
    names = ("logits", "image_embeds", "text_embeds", "pooler_output")
    return next(result[name] for name in names if result.get(name) is not None)
