"""The mask of frames that speech encoders make, beside transformers' own."""

import copy

import pytest
import torch
import transformers

from edgeformer.exportable import EXPORTABLE, make_exportable

SPEECH = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
    "conv_dim": (16, 16, 16), "conv_kernel": (10, 3, 2), "conv_stride": (5, 2, 2), "classifier_proj_size": 24,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "num_labels": 3, "initializer_range": 0.3,
}  # fmt: skip
FAMILIES = {
    "data2vec-audio": ("Data2VecAudio", {"conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 2}),
    "hubert": ("Hubert", {}),
    "sew": ("SEW", {}),
    "sew-d": ("SEWD", {}),
    "unispeech": ("UniSpeech", {}),
    "unispeech-sat": ("UniSpeechSat", {}),
    "wav2vec2": ("Wav2Vec2", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "wavlm": ("WavLM", {}),
}


def test_every_family_is_here():
    assert set(FAMILIES) == {name for name, rule in EXPORTABLE.items() if rule == "frame_mask"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_padded_batch_gives_what_transformers_gives(family, weighted):
    name, more = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SPEECH | more, use_weighted_layer_sum=weighted)
    theirs = getattr(transformers, f"{name}ForSequenceClassification")(config).eval()
    ours = copy.deepcopy(theirs)
    make_exportable(ours)
    ours = copy.deepcopy(ours)  # as passes do
    masks = [part for part in ours.modules() if "_get_feature_vector_attention_mask" in vars(part)]
    assert len(masks) >= 2
    assert all(vars(part)["_get_feature_vector_attention_mask"].__self__ is part for part in masks)
    x = torch.randn(4, 1203)
    mask = (torch.arange(1203)[None, :] < torch.tensor([1203, 1000, 431, 60])[:, None]).to(torch.int64)
    with torch.inference_mode():
        expected = theirs(x * mask, attention_mask=mask).logits
        torch.testing.assert_close(ours(x * mask, attention_mask=mask).logits, expected)
        torch.testing.assert_close(ours(x).logits, theirs(x).logits)


def test_a_row_without_a_frame_has_one():
    config = transformers.Wav2Vec2Config(**SPEECH)
    model = transformers.Wav2Vec2ForSequenceClassification(config).eval()
    make_exportable(model)
    mask = torch.zeros(1, 1203, dtype=torch.int64)
    with torch.inference_mode():
        assert model(torch.zeros(1, 1203), attention_mask=mask).logits.isfinite().all()
