"""The promise of trimming, for every kind of tokenizer and any text: see ``Vocabulary``."""

import itertools
import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edgeformer.vocabulary.coverage import count_tokens
from edgeformer.vocabulary.selection import select
from edgeformer.vocabulary.tokenizer_file import TokenizerFile

SLOW_FIXTURES = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def trimmed(file: TokenizerFile, corpus: list[str], **options) -> tuple[TokenizerFile, dict[int, int]]:
    options = {"min_count": 1, "max_tokens": None, "keep_first": 0} | options
    selection = select(file, count_tokens(file, corpus), file.mentioned_ids(), **options)
    return file.trimmed(selection.new_ids), selection.new_ids


def spelled(file: TokenizerFile, ids: list[int]) -> str:
    if file.tokenizer.decoder is not None:
        return file.tokenizer.decode(ids)
    tokens = [file.tokenizer.id_to_token(index) for index in ids]
    return "".join(token.removeprefix("##").removeprefix("@@").removesuffix("</w>") for token in tokens)


def check(before: TokenizerFile, after: TokenizerFile, new_ids: dict[int, int], *texts: str) -> int:
    """Compare two tokenizers on texts; how many of them consist of kept and known tokens."""
    same = 0
    for old, new in zip(before.encode(texts), after.encode(texts), strict=True):
        unknown_before = old.count(before.unknown_id)
        assert new.count(after.unknown_id) <= unknown_before
        if unknown_before == 0:
            assert spelled(after, new) == spelled(before, old)
            if set(old) <= set(new_ids):
                assert new == [new_ids[index] for index in old]
                same += 1
    return same


@SLOW_FIXTURES
@given(data=st.data())
def test_any_text_with_every_kind(data, trained, texts):
    file = TokenizerFile(trained[data.draw(st.sampled_from(sorted(trained)))])
    corpus = data.draw(st.lists(st.sampled_from(texts), max_size=8))
    after, new_ids = trimmed(file, corpus, min_count=data.draw(st.integers(1, 3)))
    words = st.lists(st.sampled_from(" ".join(texts).split()), max_size=8).map(" ".join)
    check(file, after, new_ids, *data.draw(st.lists(st.one_of(words, st.text(max_size=20)), min_size=1, max_size=10)))


def test_texts_of_the_corpus_keep_their_segmentation(tokenizer_text, texts):
    file = TokenizerFile(tokenizer_text)
    after, new_ids = trimmed(file, texts)
    assert len(new_ids) < len(file.ids)
    readable = [text for text, ids in zip(texts, file.encode(texts), strict=True) if file.unknown_id not in ids]
    assert check(file, after, new_ids, *texts) == len(readable) > 50


def test_special_tokens_and_padding_are_renumbered(tokenizer_text, texts):
    before = Tokenizer.from_str(tokenizer_text)
    after, new_ids = trimmed(TokenizerFile(tokenizer_text), texts)
    again = Tokenizer.from_str(after.text)
    for pair in (False, True):
        args = (texts[0], texts[1]) if pair else (texts[0],)
        assert again.encode(*args).ids == [new_ids[index] for index in before.encode(*args).ids]
        assert again.encode(*args).tokens == before.encode(*args).tokens
        assert again.encode(*args).type_ids == before.encode(*args).type_ids
    batches = [tokenizer.encode_batch(["ba", "ba lo ke mi"]) for tokenizer in (before, again)]
    for old, new in zip(*batches, strict=True):
        assert new.ids == [new_ids[index] for index in old.ids]
    assert again.get_added_tokens_decoder().keys() == {new_ids[i] for i in before.get_added_tokens_decoder()}


def test_the_real_minilm_tokenizer(minilm_tokenizer_text):
    file = TokenizerFile(minilm_tokenizer_text)
    corpus = ["The plot was unbelievably dull.", "Ein schöner Film über Züge — 東京 (1953)!"]
    after, new_ids = trimmed(file, corpus)
    assert len(new_ids) < 2100
    assert check(file, after, new_ids, *corpus) == len(corpus)
    unseen = "unforgettable cinematography, 東 zebra🦓 ABC-123 ünïcödé"
    check(file, after, new_ids, unseen)
    assert after.tokenizer.decode(next(after.encode(["unforgettable"]))) == "unforgettable"


@settings(deadline=None, max_examples=80)
@given(text=st.text(max_size=60))
def test_any_text_with_the_real_minilm_tokenizer(text, small_minilm):
    check(*small_minilm, text)


@pytest.fixture(scope="session")
def small_minilm(minilm_tokenizer_text):
    file = TokenizerFile(minilm_tokenizer_text)
    return (file, *trimmed(file, ["a film of rare beauty and unbelievable length"], keep_first=3000))


def all_words(alphabet: str, longest: int) -> list[str]:
    return ["".join(w) for length in range(1, longest + 1) for w in itertools.product(alphabet, repeat=length)]


SHORT = st.text(alphabet="abc", min_size=1, max_size=4)


def check_every_word(section: dict, kept_share: set[int], unknown: str) -> None:
    """Trim to essential pieces and some others, then compare every word of up to five letters."""
    file = TokenizerFile(json.dumps({"version": "1.0", "model": section}))
    used = Counter({index: 1 for index in file.ids.values() if index in kept_share})
    required = {file.ids[unknown]}
    selection = select(file, used, required, min_count=1, max_tokens=None, keep_first=0)
    assume(len(selection.ids) < len(file.ids))
    after = file.trimmed(selection.new_ids)
    check(file, after, selection.new_ids, *all_words("abc", 5))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.filter_too_much])
@given(heads=st.sets(SHORT, max_size=8), inner=st.sets(SHORT, max_size=8), kept=st.sets(st.integers(0, 20), max_size=8))
def test_wordpiece_with_characters_that_have_no_piece(heads, inner, kept):
    pieces = ["?", *sorted(heads), *("##" + text for text in sorted(inner))]
    section = {
        "type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": {piece: index for index, piece in enumerate(pieces)},
    }  # fmt: skip
    check_every_word(section, kept, "?")


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    pieces=st.dictionaries(SHORT, st.integers(-12, -1), min_size=2, max_size=12),
    kept=st.sets(st.integers(0, 12), max_size=6),
)
def test_unigram_with_characters_that_have_no_piece(pieces, kept):
    section = {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0], *([p, float(s)] for p, s in pieces.items())]}
    check_every_word(section, kept, "?")


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), ignore_merges=st.booleans(), as_text=st.booleans())
def test_bpe_with_merges_in_any_order(data, ignore_merges, as_text):
    pieces, merges = ["?", "a", "b", "c"], []
    for _ in range(data.draw(st.integers(2, 12))):
        pair = tuple(data.draw(st.sampled_from(pieces[1:])) for _ in range(2))
        if pair not in merges:
            merges.append(pair)
        if "".join(pair) not in pieces:
            pieces.append("".join(pair))
    section = {
        "type": "BPE", "unk_token": "?", "vocab": {piece: index for index, piece in enumerate(pieces)},
        "merges": [" ".join(m) if as_text else list(m) for m in merges], "ignore_merges": ignore_merges,
    }  # fmt: skip
    check_every_word(section, data.draw(st.sets(st.integers(0, 16), max_size=6)), "?")
