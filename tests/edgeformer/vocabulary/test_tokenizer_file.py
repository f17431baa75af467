"""Reading tokenizer.json, renumbering it, and what is refused."""

import json

import pytest
from tokenizers import Tokenizer, models, processors

from edgeformer.errors import ModelError
from edgeformer.vocabulary.coverage import check_corpus, held_out_growth
from edgeformer.vocabulary.tokenizer_file import VOCABULARIES, TokenizerFile

BYTES = [f"<0x{value:02X}>" for value in range(256)]


def document(section, **others):
    return json.dumps({"version": "1.0", "model": section, **others})


def bpe(**settings):
    pieces = ["<unk>", "a", "b", "ab", "abb"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"], ["ab", "b"]], "unk_token": "<unk>", **settings}


def test_every_kind_is_listed():
    assert {kind: vocabulary.kind for kind, vocabulary in VOCABULARIES.items()} == {k: k for k in VOCABULARIES}


def test_unchanged_when_every_token_is_kept(tokenizer_text):
    file = TokenizerFile(tokenizer_text)
    same = file.trimmed({index: index for index in file.ids.values()})
    assert json.loads(Tokenizer.from_str(same.text).to_str()) == json.loads(Tokenizer.from_str(tokenizer_text).to_str())


def test_a_sequence_of_post_processors_is_renumbered():
    tokenizer = Tokenizer(models.BPE({"x": 0, "a": 1, "b": 2}, []))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    template = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 3), ("</s>", 4)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template])
    file = TokenizerFile(tokenizer.to_str())
    assert file.mentioned_ids() == {3, 4}
    after = Tokenizer.from_str(file.trimmed({1: 0, 2: 1, 3: 2, 4: 3}).text)
    assert after.encode("ab").ids == [2, 0, 1, 3]
    assert after.token_to_id("</s>") == 3


def test_byte_fallback_stays():
    pieces = ["<unk>", *BYTES, "a", "b", "ab"]
    section = bpe(vocab={p: i for i, p in enumerate(pieces)}, merges=[["a", "b"]], byte_fallback=True)
    vocabulary = TokenizerFile(document(section)).vocabulary
    assert vocabulary.essential() == {*BYTES, "<unk>", "a", "b"}
    scores = [[piece, -1.0] for piece in ["<unk>", *BYTES, "a", "éa"]]
    unigram = {"type": "Unigram", "vocab": scores, "unk_id": 0, "byte_fallback": True}
    assert TokenizerFile(document(unigram)).vocabulary.essential() == {*BYTES, "<unk>", "a"}


def test_a_merged_piece_brings_its_parts():
    file = TokenizerFile(document(bpe()))
    assert file.vocabulary.support("abb") == {"a", "b", "ab", "abb"}
    after = file.trimmed({0: 0, 1: 1, 2: 2, 3: 3})
    assert after.document["model"]["merges"] == [["a", "b"]]


def test_the_lowest_unigram_score_stays():
    section = {"type": "Unigram", "vocab": [["?", 0.0], ["a", -1.0], ["b", -2.0], ["ab", -9.0]], "unk_id": 0}
    assert "ab" in TokenizerFile(document(section)).vocabulary.essential()


def test_old_files_without_a_type_are_read():
    section = {"vocab": {"?": 0, "a": 1}, "unk_token": "?", "continuing_subword_prefix": "##"}
    file = TokenizerFile(document({**section, "max_input_chars_per_word": 100}))
    assert file.vocabulary.kind == "WordPiece"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"type": "WordLevel", "vocab": {"?": 0, "a": 1}, "unk_token": "?"}, "whole words has no smaller pieces"),
        (bpe(dropout=0.1), "dropout encodes at random"),
        ({"type": "Unigram", "vocab": [["?", 0.0], ["a", -1.0], ["a", -2.0]], "unk_id": 0}, "occurs twice"),
        ({"type": "Unigram", "vocab": []}, "without a vocabulary"),
        (bpe(vocab={}, merges=[]), "without a vocabulary"),
        ({"type": "Other"}, "can't be read"),
    ],
    ids=["word level", "dropout", "duplicates", "empty unigram", "empty bpe", "unknown"],
)
def test_refused(section, message):
    with pytest.raises(ModelError, match=message):
        TokenizerFile(document(section))


def test_not_json():
    with pytest.raises(ModelError, match=r"tokenizer\.json can't be read"):
        TokenizerFile("{")


def test_a_tokenizer_that_breaks_the_promise_is_refused():
    before = TokenizerFile(document(bpe()))
    section = bpe(merges=[["a", "b"]], vocab={"<unk>": 0, "a": 1, "b": 2, "ab": 3, "abb": 4})
    after = TokenizerFile(document(section))
    with pytest.raises(ModelError, match=r"'abb' consists of kept tokens, but is now encoded otherwise"):
        check_corpus(before, after, {index: index for index in range(5)}, ["ab", "abb"])


def test_growth_by_hand():
    before = TokenizerFile(document(bpe()))
    after = before.trimmed({0: 0, 1: 1, 2: 2, 3: 3})
    assert held_out_growth(before, after, ["abb", "ab", "?"], "rows") == {
        "source": "rows", "texts": 3, "mean_tokens_before": 1.0, "mean_tokens_after": 4 / 3, "growth": 4 / 3 - 1,
        "share_of_texts_longer": 1 / 3, "unknown_tokens_before": 1, "unknown_tokens_after": 1,
    }  # fmt: skip
    facts = check_corpus(before, after, {0: 0, 1: 1, 2: 2, 3: 3}, ["abb", "ab"])
    assert facts == {"texts": 2, "tokens": 2, "share_of_tokens_kept": 0.5, "share_of_texts_unchanged": 0.5}
