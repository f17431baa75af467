"""A tiny model with random weights of every family of transformers that has a sequence classification head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

VOCABULARY = 120
LABELS = 3
# by the families' names for the same things; only what a family's config has is set
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2,
    "cls_token_id": 1, "mask_token_id": 3, "decoder_start_token_id": 2,
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "emb_dim": 32, "embedding_size": 32,
    "word_embed_proj_dim": 32, "pooler_hidden_size": 32, "input_embedding_size": 32, "output_embedding_size": 32,
    "num_hidden_layers": 2, "num_layers": 2, "n_layer": 2, "n_layers": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_decoder_layers": 2, "num_hidden_groups": 1,
    "num_attention_heads": 4, "num_heads": 4, "n_head": 4, "n_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "num_key_value_heads": 2, "num_kv_heads": 2, "head_dim": 8, "d_kv": 8, "d_head": 8,
    "intermediate_size": 48, "ffn_dim": 48, "d_ff": 48, "d_inner": 48, "dff": 48, "hidden_dim": 48, "n_inner": 48,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "ffn_hidden_size": 48, "feed_forward_size": 48,
    "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, "num_experts": 4, "num_local_experts": 4,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
    "max_position_embeddings": 128, "n_positions": 128, "max_seq_len": 128, "max_2d_position_embeddings": 128,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "qk_head_dim": 16,
    "v_head_dim": 8, "rotary_dim": 4, "query_pre_attn_scalar": 8,
    "mamba_d_state": 8, "mamba_dt_rank": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "entity_vocab_size": 10, "entity_emb_size": 16, "initializer_range": 0.3, "init_std": 0.3,
}  # fmt: skip
# what a family needs beside the sizes; a dict within is the family's text config
_VISION = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14, "depth": 1, "num_heads": 2, "out_hidden_size": 32,
}  # fmt: skip
# what a family needs beside the sizes
_OWN: dict[str, dict[str, Any]] = {
    "canine": {"num_hash_buckets": 160, "local_transformer_stride": 16},
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "esmc": {"num_key_value_heads": 4},
    "t5": {"decoder_start_token_id": 0},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8, "input_size": 28, "patch_size": 14},
    "reformer": {"axial_pos_embds": False, "num_hash_functions": 1, "num_buckets": 2, "is_decoder": False},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid"] * 2, "attention_hidden_size": 64,
              "attention_head_dim": 16},
    "zamba2": {"num_hidden_layers": 3, "layers_block_type": ["mamba", "mamba", "hybrid"]},
    "funnel": {"block_sizes": [1, 1], "num_decoder_layers": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "markuplm": {"max_xpath_tag_unit_embeddings": 20, "max_xpath_subs_unit_embeddings": 20},
    "mistral4": {"head_dim": 16},
    "mobilebert": {"true_hidden_size": 32, "intra_bottleneck_size": 32, "embedding_size": 16,
                   "initializer_range": 0.1},
    "perceiver": {"num_latents": 8, "d_latents": 32, "num_self_attends_per_block": 2, "num_self_attention_heads": 2,
                  "num_cross_attention_heads": 2},
}  # fmt: skip


def tiny_config(family: str) -> Any:
    """The family's config with small sizes."""
    from transformers import CONFIG_MAPPING

    config_class = CONFIG_MAPPING[family]
    return config_class(num_labels=LABELS, **{**_small(config_class().to_dict(), _SIZES), **_OWN.get(family, {})})


def _small(known: dict[str, Any], sizes: dict[str, Any]) -> dict[str, Any]:
    """The settings of a config, and of those inside it, that make it small."""
    settings = {name: value for name, value in sizes.items() if name in known}
    if isinstance(kinds := known.get("layer_types"), list) and len(set(kinds)) > 1:
        settings["layer_types"] = list(dict.fromkeys(kinds)) * 2  # each kind twice: the last layer alone hides much
        settings["num_hidden_layers"] = len(settings["layer_types"])
    elif isinstance(kinds, list):
        settings["layer_types"] = kinds[:1] * 2
    if "kv_lora_rank" in known:  # latent attention: as many heads of keys as of queries
        settings["num_key_value_heads"] = settings["num_attention_heads"]
    for name, value in known.items():
        if isinstance(value, dict) and "model_type" in value:
            inner = _small(value, _VISION if "vision" in name else sizes)
            settings[name] = {**inner, "model_type": value["model_type"]}
    return settings


def tiny_model(family: str, directory: Path) -> Any:
    """The family's classifier with random weights, saved in ``directory``."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as HEADS

    torch.manual_seed(0)
    model = getattr(transformers, HEADS[family])(tiny_config(family)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and "bias" in name:
                parameter.normal_(0, 0.1)
    model.save_pretrained(directory)
    return model


def families() -> tuple[str, ...]:
    """Every model_type with a sequence classification head in this transformers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as HEADS

    return tuple(sorted(HEADS))
