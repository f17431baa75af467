"""Families beyond BERT: DeBERTa, XLNet, BART, decoders that classify, and those that a text alone can't feed."""

import kit
import numpy as np
import pytest
import torch
import transformers

import edgeformer as ef
from edgeformer.errors import ModelError
from edgeformer_runtime import Session

complaint = pytest.mark.complaint
V3 = {
    "relative_attention": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0, "pooler_hidden_size": 32,
}  # fmt: skip
V1 = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False, "type_vocab_size": 0}
TEXTS = [kit.sentences(1, seed, (words, words))[0] for seed, words in enumerate((1, 3, 8, 15, 40))]


def saved(directory, family, head="ForSequenceClassification", **settings):
    tokenizer = kit.wordpiece(directory)
    config = getattr(transformers, f"{family}Config")(vocab_size=len(tokenizer), **{**kit.SMALL, **settings})
    model = kit.seeded(getattr(transformers, f"{family}{head}"), config)
    model.save_pretrained(directory)
    return model


def feeds(ids, padding=0, pad=0):
    """int64 ids and mask [1, S + padding]."""
    ids = torch.tensor([[*ids, *[pad] * padding]])
    mask = torch.ones_like(ids)
    mask[:, ids.shape[1] - padding :] = 0
    return ids, mask


def logits(model, *tensors):
    with torch.no_grad():
        return model.callable_module()(*tensors)[0].numpy()


@pytest.fixture(scope="module")
def deberta_bundle(tmp_path_factory):
    directory = tmp_path_factory.mktemp("deberta")
    saved(directory / "model", "DebertaV2", num_labels=3, **V3)
    ef.compile(
        directory / "model",
        output=directory / "bundle",
        recipe="float32",
        formats=["onnx"],
        sequence_lengths=[64],
        threads=1,
    )
    return directory


@complaint(
    "huggingface/transformers#18237",
    "a DeBERTa-v2 classifier, exported to ONNX, fails in ONNX Runtime on texts of another length",
    "one file for all lengths, equal to transformers",
)
def test_deberta_v3_in_onnx_at_every_length(deberta_bundle):
    expected = kit.transformers_logits(deberta_bundle / "model", TEXTS)
    with Session.open(deberta_bundle / "bundle", threads=1) as session:
        found = np.array([list(item.scores.values()) for item in session.predict(TEXTS)])
    np.testing.assert_allclose(found, torch.tensor(expected).softmax(-1).numpy(), atol=1e-5)


@complaint(
    "NVIDIA/TensorRT#4005",
    "DeBERTa with lengths that vary answers the same text otherwise at every call",
    "the same text, the same numbers, whatever was asked before",
)
def test_deberta_gives_one_answer_to_one_text(deberta_bundle):
    with Session.open(deberta_bundle / "bundle", threads=1) as session:
        alone = session.predict(TEXTS[1:2])[0].scores
        among = [session.predict([other, TEXTS[1]])[1].scores for other in TEXTS]
    for scores in among:
        np.testing.assert_allclose(list(scores.values()), list(alone.values()), atol=1e-6)


@complaint(
    "huggingface/transformers#16982",
    "an exported DeBERTa classifier gives hidden states [1, 10, 1024] where three logits were wanted",
    "the head that config.json names is in the file",
)
def test_deberta_output_is_the_head(deberta_bundle):
    with Session.open(deberta_bundle / "bundle", threads=1) as session:
        assert [len(item.scores) for item in session.predict(TEXTS)] == [3] * len(TEXTS)


@complaint(
    "huggingface/transformers#18199",
    "DeBERTa's ONNX file gives other numbers than the model",
    "the form that is exported equals the family's own forward, padded or not",
)
@pytest.mark.parametrize("head", ["ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"])
def test_deberta_v1_as_it_is_exported(tmp_path, head):
    own = saved(tmp_path, "Deberta", head, num_labels=2, **V1)
    model = ef.load_model(tmp_path)
    ids, mask = feeds([2, *range(20, 50), 3], padding=11)
    with torch.no_grad():
        expected = next(iter(own(input_ids=ids, attention_mask=mask).values())).numpy()
    found = logits(model, ids, mask)
    kept = slice(None) if head == "ForSequenceClassification" else slice(0, 32)
    np.testing.assert_allclose(found[:, kept], expected[:, kept], atol=1e-4)


@complaint(
    "huggingface/transformers#24116",
    "mDeBERTa overflows in half precision: the mask is the lowest number of the type, whole rows of it become NaN",
    "a mask inside of half precision's range, no NaN for a text that is mostly padding",
)
def test_deberta_in_half_precision(tmp_path):
    own = saved(tmp_path, "DebertaV2", num_labels=3, **V3)
    ids, mask = feeds([2, 40, 3], padding=40)
    with torch.no_grad():
        expected = own(input_ids=ids, attention_mask=mask).logits.numpy()
    module = ef.load_model(tmp_path).callable_module().to(torch.bfloat16)
    with torch.no_grad():
        found = module(ids, mask)[0].float().numpy()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())


@complaint(
    "huggingface/transformers#1320",
    "XLNet says something else of a text with padding behind it: its classifier reads the last position",
    "the last token's position is read, so padding at either side gives what no padding gives",
)
def test_xlnet_reads_the_last_token(tmp_path):
    small = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "vocab_size": 90}
    own = kit.seeded(transformers.XLNetForSequenceClassification, transformers.XLNetConfig(**small, num_labels=3))
    own.save_pretrained(tmp_path)
    model = ef.load_model(tmp_path)
    text = [*range(20, 33), 4, 3]
    ids, mask = feeds(text)
    with torch.no_grad():
        expected = own(input_ids=ids, attention_mask=mask).logits.numpy()
        behind = own(*feeds(text, padding=9, pad=5)).logits.numpy()
    assert np.abs(behind - expected).max() > 1e-2  # what people saw
    np.testing.assert_allclose(logits(model, *feeds(text, padding=9, pad=5)), expected, atol=1e-4)


@pytest.fixture
def bart(tmp_path):
    tokenizer = kit.byte_bpe(tmp_path)
    sizes = {
        "vocab_size": len(tokenizer), "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "num_labels": 3,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
        "max_position_embeddings": 64,
    }  # fmt: skip
    kit.seeded(transformers.BartForSequenceClassification, transformers.BartConfig(**sizes)).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.slow
@complaint(
    "huggingface/optimum#1667",
    "BART's classifiers, the commonest for zero-shot, can no longer be exported for text classification",
    "compiled, with the decoder and the end token that its head reads",
)
def test_bart_classifies(bart, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    assert kit.compile_model(capsys, bart, bundle, "--sequence-lengths", 64).status == 0
    expected = torch.tensor(kit.transformers_logits(bart, TEXTS)).softmax(-1).numpy()
    np.testing.assert_allclose(kit.probabilities(kit.predictions(bundle, TEXTS)), expected, atol=1e-5)


@complaint(
    "microsoft/winml-cli#120",
    "index -1 is out of bounds: the made-up text of an export holds no end token, which BART's head looks for",
    "made-up rows, with or without an end token, don't matter",
)
def test_bart_without_an_end_token(bart):
    model = ef.load_model(bart)
    with torch.no_grad():
        assert np.isfinite(logits(model, *feeds(range(20, 40)))).all()


@complaint(
    "huggingface/transformers#35352",
    "a decoder's classifier reads the token before the first padding id, although the text itself holds that id",
    "the last token that isn't padding is read, as transformers does now",
)
def test_a_decoder_whose_text_holds_the_padding_id(tmp_path):
    own = saved(tmp_path, "Llama", num_labels=3, pad_token_id=0)
    model = ef.load_model(tmp_path)
    text = [5, 9, 0, 31, 40, 17]
    with torch.no_grad():
        expected = own(input_ids=feeds(text)[0]).logits.numpy()
    np.testing.assert_allclose(logits(model, *feeds(text, padding=7)), expected, atol=1e-4)


@complaint(
    "tenstorrent/tt-forge-models#193",
    "Cannot handle batch sizes > 1 if no padding token is defined",
    "refused when it is loaded, with that sentence and what it means for files of fixed lengths",
)
def test_a_decoder_without_a_padding_id(tmp_path):
    saved(tmp_path, "Llama", num_labels=3, pad_token_id=None)
    with pytest.raises(ModelError, match=r"fails on a padded batch.*no padding token is defined.*Texts are padded"):
        ef.load_model(tmp_path)


@complaint(
    "huggingface/transformers#14359",
    "FNet has no mask: padding is mixed into every token",
    "refused with that cause, measured: padding beside a text changes its logits",
)
def test_fnet_is_refused_for_what_padding_does(tmp_path):
    saved(tmp_path, "FNet", num_labels=3, tpu_short_seq_length=64)
    with pytest.raises(ModelError, match=r"'fnet' gives other logits with padding beside a text"):
        ef.load_model(tmp_path)


@complaint(
    "huggingface/optimum#1644",
    "LayoutLM's file wants bbox, which nobody gives; without it transformers fills in zeros",
    "refused, naming what a text doesn't have",
)
@pytest.mark.parametrize("family", ["LayoutLM", "Lilt"])
def test_documents_need_boxes(tmp_path, family):
    saved(tmp_path, family, num_labels=3)
    with pytest.raises(ModelError, match=r"needs the place of each token on its page \(bbox\)"):
        ef.load_model(tmp_path)


@complaint(
    "huggingface/transformers#29373",
    "MRA gives NaN, or zeros in place of attention, where its CUDA kernel isn't there",
    "refused: without the kernel nothing can be compared",
)
def test_mra_needs_its_kernel(tmp_path):
    saved(tmp_path, "Mra", num_labels=3)
    with pytest.raises(ModelError, match="CUDA kernel"):
        ef.load_model(tmp_path)


@complaint(
    "huggingface/transformers#47491",
    "CANINE, exported with lengths that vary, keeps the example's length",
    "refused: its pooled characters depend on padding, and no length is kept in silence",
)
def test_canine_is_refused_for_what_padding_does(tmp_path):
    config = transformers.CanineConfig(**kit.SMALL, num_hash_buckets=90, local_transformer_stride=16, num_labels=3)
    kit.seeded(transformers.CanineForSequenceClassification, config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'canine' gives other logits with padding beside a text"):
        ef.load_model(tmp_path)
