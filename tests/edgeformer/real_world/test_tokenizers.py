"""Tokenizers as people have them: a bundle encodes as transformers does, or one sentence says why it can't."""

from __future__ import annotations

import functools
import json
import sys

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import SMALL, WORDS, bert_classifier, byte_bpe, our_logits, seeded, sentences, transformers_logits

import edgeformer as ef
from edgeformer.compiler import _with_lengths
from edgeformer.data.encoding import text_preprocess
from edgeformer.errors import ModelError
from edgeformer.model.tokenizer_files import load_tokenizer
from edgeformer_runtime.bundle.manifest import TensorSpec
from edgeformer_runtime.preprocess.text import TextEncoder, TextPreprocess

INPUTS = tuple(
    TensorSpec(name, "int64", ("batch", "sequence"), role=role)
    for name, role in (("input_ids", "tokens"), ("token_type_ids", "token_types"))
)
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tom", "Tom", "möchte", "mochte", "the", "##s", "é", "e"]


def saw(reference, complaint, right):
    return pytest.mark.complaint(reference, complaint, right)


def encoder(directory, config, max_length=64, truncation=None):
    loaded = load_tokenizer(directory, config)
    preprocess = TextPreprocess("tokenizer.json", max_length, 0, True, truncation or loaded.truncation)
    return TextEncoder(loaded.json.encode(), preprocess, INPUTS)


def change(directory, **values):
    """Set values in tokenizer_config.json, as people do by hand."""
    path = directory / "tokenizer_config.json"
    stated = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**stated, **values}))
    return directory


def vocabulary(directory, tokens=VOCABULARY, **values):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    return change(directory, **values)


# ---- ids and lengths ----


@saw("huggingface/transformers#12763", "index out of range: tokens were added and the model wasn't resized",
     "refused when it is loaded, with the token, its id and both sizes")  # fmt: skip
def test_an_added_token_without_a_row(tmp_path):
    bert_classifier(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    rows = len(tokenizer)
    tokenizer.add_tokens(["<brand>", "<user>"])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=rf"'<brand>' the id {rows}, and 1 more; .*{rows + 2} tokens.* {rows} rows"):
        ef.load_model(tmp_path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path)
    model.resize_token_embeddings(rows + 2)
    model.save_pretrained(tmp_path)
    texts = ["the <user> film", "<brand><brand> good"]
    np.testing.assert_allclose(our_logits(tmp_path, texts), transformers_logits(tmp_path, texts), atol=1e-5)


@saw("huggingface/transformers#45701", "another version of transformers makes other tokens of the same files",
     "a special token that only transformers adds, without a row, is left out; the rest is as it loads it")  # fmt: skip
def test_a_token_that_only_transformers_adds(tmp_path):
    vocabulary(tmp_path, [token for token in VOCABULARY if token != "[MASK]"], tokenizer_class="BertTokenizer")
    size = len(VOCABULARY) - 1
    assert len(transformers.AutoTokenizer.from_pretrained(tmp_path)) == size + 1  # [MASK], which no file has
    config = transformers.BertConfig(vocab_size=size, num_labels=3, **SMALL)
    seeded(transformers.BertForSequenceClassification, config).save_pretrained(tmp_path)
    got = our_logits(tmp_path, ["the [MASK] tom", "möchte"])
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[1:], transformers_logits(tmp_path, ["möchte"]), atol=1e-5)


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        pytest.param(int(1e30), 64, marks=saw("flairNLP/flair#2476", "int too big to convert, for some models",
                                              "a length that nobody set is none"), id="1e30"),
        pytest.param(None, 64, marks=saw("iPieter/RobBERT#28", "no model_max_length: the position table is overrun",
                                         "the position table is the limit"), id="none"),
        pytest.param(20, 20, marks=saw("netease-youdao/BCEmbedding#62", "longer than the maximum of this model: how is "
                                       "that solved?", "texts are cut where model_max_length says, with a note"),
                     id="shorter"),
    ],
)  # fmt: skip
def test_model_max_length(stated, wanted, tmp_path):
    bert_classifier(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings.pop("model_max_length")
    more = {} if stated is None else {"model_max_length": stated}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, **more}))
    model = ef.load_model(tmp_path)
    recipe = ef.Recipe.preset("int8").with_setting("export.sequence_lengths=[64]")
    assert text_preprocess(model.signature, 64).max_length == wanted
    notes = " ".join(_with_lengths(model, recipe).notes)
    assert ("cut to 20 tokens" in notes) is (wanted == 20)
    texts = sentences(3, 2, (40, 50))
    np.testing.assert_allclose(our_logits(tmp_path, texts), transformers_logits(tmp_path, texts, max_length=wanted),
                               atol=1e-5)  # fmt: skip


@saw("huggingface/text-embeddings-inference#272", "the newest part of a text is last, and it is what gets cut off",
     "the side of tokenizer_config.json, which the bundle carries")  # fmt: skip
def test_truncation_on_the_left(tmp_path):
    bert_classifier(tmp_path)
    change(tmp_path, truncation_side="left")
    texts = sentences(4, 5, (30, 60))
    got = our_logits(tmp_path, texts, max_length=16)
    np.testing.assert_allclose(got, transformers_logits(tmp_path, texts, max_length=16), atol=1e-5)
    change(tmp_path, truncation_side="right")
    assert np.abs(got - our_logits(tmp_path, texts, max_length=16)).max() > 1e-3


@saw("huggingface/transformers#20068", "padding on the left moves the positions of BERT's kind",
     "rows run alone and padding never reaches them: the result of one text by itself")  # fmt: skip
def test_padding_on_the_left(tmp_path):
    bert_classifier(tmp_path)
    change(tmp_path, padding_side="left")
    texts = sentences(4, 6)
    np.testing.assert_allclose(our_logits(tmp_path, texts), transformers_logits(tmp_path, texts), atol=1e-5)
    assert "padding_side is left" in " ".join(ef.load_model(tmp_path).notes)


@saw("qdrant/fastembed#716", "padding and a length that were saved in tokenizer.json apply to every text",
     "they are the caller's of that time: neither pads nor cuts a row")  # fmt: skip
def test_padding_and_truncation_saved_in_the_file(tmp_path):
    bert_classifier(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["truncation"] = {"direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {"strategy": {"Fixed": 48}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                          "pad_type_id": 0, "pad_token": "[PAD]"}  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    texts = sentences(4, 7, (10, 20))
    np.testing.assert_allclose(our_logits(tmp_path, texts), transformers_logits(tmp_path, texts), atol=1e-5)


# ---- settings of tokenizer_config.json that tokenizer.json doesn't have ----

SETTINGS = [
    pytest.param({"do_lower_case": False}, ["Tom", "tom"], ["Tom", "tom"], id="cased",
                 marks=saw("idb-ita/GilBERTo#4", "do_lower_case makes no difference, set to true or false",
                           "what the file beside tokenizer.json says is in the bundle's tokenizer")),
    pytest.param({"do_lower_case": True}, ["Tom", "MÖCHTE"], ["tom", "mochte"], id="lower case",
                 marks=saw("huggingface/transformers#2742", "lower case takes the accents away too",
                           "as transformers does it: lower case strips accents unless told otherwise")),
    pytest.param({"do_lower_case": True, "strip_accents": False}, ["MÖCHTE"], ["möchte"], id="accents kept",
                 marks=saw("huggingface/transformers#6186", "strip_accents=false is lost on the way to a loaded model",
                           "kept")),
]  # fmt: skip


@pytest.mark.parametrize(("values", "texts", "wanted"), SETTINGS)
@pytest.mark.parametrize("saved", [False, True], ids=["vocab.txt", "tokenizer.json of other settings"])
def test_case_and_accents(values, texts, wanted, saved, tmp_path):
    config = transformers.BertConfig()
    vocabulary(tmp_path, tokenizer_class="BertTokenizer", do_lower_case=not values["do_lower_case"])
    if saved:
        transformers.AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
        (tmp_path / "vocab.txt").unlink(missing_ok=True)
    change(tmp_path, **values)
    loaded = load_tokenizer(tmp_path, config)
    encode = encoder(tmp_path, config).encode
    assert [VOCABULARY[encode(text).feeds["input_ids"][0][1]] for text in texts] == wanted
    assert any("another normalizer" in note for note in loaded.notes) is saved


@saw("huggingface/transformers#5507", "the prefix space of a byte-level tokenizer: where is it set, and does it count?",
     "add_prefix_space as transformers applies it")  # fmt: skip
@pytest.mark.parametrize("prefix", [True, False])
def test_prefix_space(prefix, tmp_path):
    byte_bpe(tmp_path)
    change(tmp_path, tokenizer_class="RobertaTokenizer", add_prefix_space=prefix)
    config = transformers.RobertaConfig()
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path, config=config)
    ids = encoder(tmp_path, config).encode("team").feeds["input_ids"][0].tolist()
    assert ids == reference("team")["input_ids"]
    assert (ids == encoder(tmp_path, config).encode(" team").feeds["input_ids"][0].tolist()) is prefix


# ---- vocabularies without a tokenizer.json ----


@functools.cache
def sentencepiece_model(family="xlm-roberta"):
    """A unigram model of our own words, as bytes, with the first ids that the family's models have."""
    import io

    import sentencepiece

    albert = {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]}
    target = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences(2000, 7)), model_writer=target, vocab_size=120, model_type="unigram",
        hard_vocab_limit=False, minloglevel=2, **(albert if family == "albert" else {}),
    )  # fmt: skip
    return target.getvalue()


SENTENCEPIECE = [
    pytest.param("XLMRobertaTokenizer", "xlm-roberta", "sentencepiece.bpe.model", id="xlm-roberta",
                 marks=saw("huggingface/transformers#10127", "XLM-RoBERTa's tokenizer is None, without a word why",
                           "converted; or the packages that are missing, by name")),
    pytest.param("AlbertTokenizer", "albert", "spiece.model", id="albert",
                 marks=saw("huggingface/transformers#11358", "a new spiece.model gives other pieces in fast form",
                           "the pieces of the sentencepiece library")),
    pytest.param("CamembertTokenizer", "camembert", "sentencepiece.bpe.model", id="camembert",
                 marks=saw("huggingface/tokenizers#225", "how is a file of sentencepiece converted?", "by compile")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "family", "file"), SENTENCEPIECE)
def test_sentencepiece_alone(name, family, file, tmp_path):
    import sentencepiece
    import tokenizers

    (tmp_path / file).write_bytes(sentencepiece_model(family))
    change(tmp_path, tokenizer_class=name)
    config = transformers.AutoConfig.for_model(family)
    loaded = load_tokenizer(tmp_path, config)
    backend = tokenizers.Tokenizer.from_str(loaded.json)
    own = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(family))
    for text in [*sentences(30, 11), "tram 日 alles"]:
        ids = encoder(tmp_path, config, 128).encode(text).feeds["input_ids"][0].tolist()
        assert [backend.id_to_token(index) for index in ids[1:-1]] == [
            piece if own.piece_to_id(piece) != own.unk_id() else "<unk>" for piece in own.encode(text, out_type=str)
        ]
        assert ids == transformers.AutoTokenizer.from_pretrained(tmp_path, config=config)(text)["input_ids"]


@saw("huggingface/text-embeddings-inference#122", "a model without tokenizer.json isn't served: 404",
     "its vocab.json and merges.txt are converted")  # fmt: skip
def test_byte_level_files_alone(tmp_path):
    tokenizer = byte_bpe(tmp_path / "whole")
    whole = load_tokenizer(tmp_path / "whole", transformers.RobertaConfig())
    (tmp_path / "parts").mkdir()
    tokenizer.backend_tokenizer.model.save(str(tmp_path / "parts"))
    change(tmp_path / "parts", tokenizer_class="RobertaTokenizer")
    config = transformers.RobertaConfig()
    for text in [*sentences(10, 3), "naïve <mask> 🦓"]:
        found, wanted = (encoder(tmp_path / part, config).encode(text, "b") for part in ("parts", "whole"))
        assert found.feeds["input_ids"].tolist() == wanted.feeds["input_ids"].tolist()
    assert whole.pairs


REFUSED = [
    pytest.param("BertJapaneseTokenizer", "vocab.txt", r"BertJapaneseTokenizer\) in vocab.txt is Python code", id="ja",
                 marks=saw("SeldonIO/MLServer#1506", "a Japanese model needs fugashi and dictionaries on the server",
                           "one sentence: Python code, which no device runs")),
    pytest.param("RobertaTokenizer", "vocab.txt", r"reads merges.txt, .*vocab.json, and found no", id="wrong file",
                 marks=saw("huggingface/transformers#8357", "RobertaTokenizer with a vocab.txt: files weren't found",
                           "the files that the class reads, by name")),
    pytest.param("XLMRobertaTokenizer", "vocab.txt", r"sentencepiece.bpe.model.* found no token there but special ones",
                 id="empty", marks=saw("huggingface/tokenizers#689", "XLM-RoBERTa's results aren't good, and no error",
                                      "a vocabulary of nothing but special tokens is refused")),
    pytest.param("CompanyTokenizer", "vocab.txt", r"transformers .* knows no class of this name", id="unknown",
                 marks=saw("huggingface/transformers#1063", "a local copy of a model isn't recognized by its files",
                           "the class that isn't known, by name")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "message"), REFUSED)
def test_what_cannot_be_converted_is_refused_by_its_cause(name, file, message, tmp_path):
    vocabulary(tmp_path, tokenizer_class=name)
    with pytest.raises(ModelError, match=message):
        load_tokenizer(tmp_path, transformers.BertConfig())


@saw("vllm-project/vllm#11691", "special tokens inside of a user's text act as such",
     "split_special_tokens, which no file of a tokenizer holds, is refused")  # fmt: skip
def test_a_setting_of_the_caller(tmp_path):
    vocabulary(tmp_path, tokenizer_class="BertTokenizer", split_special_tokens=True)
    with pytest.raises(ModelError, match="split_special_tokens"):
        load_tokenizer(tmp_path, transformers.BertConfig())


@saw("bitextor/bicleaner-ai#15", "sentencepiece.bpe.model can't be loaded: an error from within another package",
     "which packages don't fit each other, and what to install")  # fmt: skip
def test_packages_that_are_missing_or_do_not_fit(tmp_path, monkeypatch):
    from edgeformer.model import tokenizer_causes

    (tmp_path / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
    change(tmp_path, tokenizer_class="XLMRobertaTokenizer")
    config = transformers.XLMRobertaConfig()

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sentencepiece.sentencepiece_model_pb2", None)
        with pytest.raises(ModelError, match=r"can't be read: .*pip install --upgrade protobuf"):
            load_tokenizer(tmp_path, config)
    monkeypatch.setattr(tokenizer_causes, "_installed", lambda module: module != "sentencepiece")
    with pytest.raises(ModelError, match=r"pip install sentencepiece$"):
        load_tokenizer(tmp_path, config)


@saw("mgrankin/ru_transformers#7", "vocabulary files aren't found: we won't load it, and nothing happens",
     "compiled for token ids, which the output and the bundle say; predicting text says why it can't")  # fmt: skip
def test_no_tokenizer_is_said(tmp_path):
    bert_classifier(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    model = ef.load_model(tmp_path)
    assert "no tokenizer in" in model.notes[-1]
    assert "tokenizer_config.json is there, the file of its vocabulary isn't" in model.notes[-1]
    assert (model.tokenizer, text_preprocess(model.signature, 32)) == (None, None)


# ---- any text: the device's encoder against transformers' ----

HOSTILE = st.lists(
    st.one_of(
        st.sampled_from([*WORDS, *VOCABULARY, "<s>", "</s>", "<mask>", "[SEP]", "[CLS]", "<pad>", " ", "  ", "\n"]),
        st.sampled_from(["\u00a0", "\u200b", "e\u0301", "\u4e2d\u6587", "\U0001f993\u200d\u2640", "\x00", "\ufeff"]),
        st.sampled_from(["\u2581", "\t", "\r\n", "\u0130", "\ufb01", "\u202e", "\u0600", "\ud7a3"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@functools.cache
def both(name, root):
    """Our encoder at three lengths on either side, and transformers' tokenizer."""
    directory = root / name
    made = {
        "bert": lambda: vocabulary(directory, tokenizer_class="BertTokenizer"),
        "cased": lambda: vocabulary(directory, tokenizer_class="BertTokenizer", do_lower_case=False),
        "roberta": lambda: byte_bpe(directory),
        "xlm-roberta": lambda: change(directory, tokenizer_class="XLMRobertaTokenizer"),
    }
    directory.mkdir(parents=True)
    if name == "xlm-roberta":
        (directory / "sentencepiece.bpe.model").write_bytes(sentencepiece_model())
    made[name]()
    config = transformers.AutoConfig.for_model({"cased": "bert"}.get(name, name))
    ours = {(n, side): encoder(directory, config, n, side) for n in (6, 9, 64) for side in ("right", "left")}
    return ours, transformers.AutoTokenizer.from_pretrained(directory, config=config)


@pytest.mark.parametrize("name", ["bert", "cased", "roberta", "xlm-roberta"])
def test_any_text_is_encoded_as_by_transformers(name, tmp_path_factory):
    root = tmp_path_factory.mktemp(name)

    @settings(max_examples=120, deadline=None, derandomize=True)
    @given(text=HOSTILE, second=st.none() | HOSTILE, length=st.sampled_from([6, 9, 64]),
           side=st.sampled_from(["right", "left"]))  # fmt: skip
    def check(text, second, length, side):
        ours, reference = both(name, root)
        reference.truncation_side = side
        # lists, as people encode batches: of a pair, also where the second text is empty
        given_texts = ([text],) if second is None else ([text], [second])
        wanted = reference(*given_texts, truncation=True, max_length=length, return_offsets_mapping=True,
                           return_token_type_ids=True)  # fmt: skip
        found = ours[length, side].encode(text, second)
        assert found.feeds["input_ids"].tolist() == wanted["input_ids"]
        assert found.feeds["token_type_ids"].tolist() == wanted["token_type_ids"]
        assert list(found.offsets) == wanted["offset_mapping"][0]
        assert list(found.texts) == wanted.sequence_ids(0)

    check()


@saw("huggingface/transformers#2446", "a text that isn't well-formed ends in an error of another library",
     "a text with half of a surrogate pair is refused as such")  # fmt: skip
def test_half_a_surrogate_pair(tmp_path):
    from edgeformer_runtime.errors import InputError

    vocabulary(tmp_path, tokenizer_class="BertTokenizer")
    with pytest.raises(InputError, match="surrogate"):
        encoder(tmp_path, transformers.BertConfig()).encode("tom \ud83e")
