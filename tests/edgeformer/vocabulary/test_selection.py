"""What stays, and the cases in which nothing may go."""

import json
from collections import Counter

import pytest

from edgeformer.errors import RecipeError
from edgeformer.vocabulary.selection import select
from edgeformer.vocabulary.tokenizer_file import TokenizerFile


def wordpiece(*pieces):
    vocabulary = {piece: index for index, piece in enumerate(["?", *pieces])}
    section = {"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "vocab": vocabulary}
    return TokenizerFile(json.dumps({"version": "1.0", "model": {**section, "max_input_chars_per_word": 100}}))


def unigram(**scores):
    section = {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0], *([p, float(s)] for p, s in scores.items())]}
    return TokenizerFile(json.dumps({"version": "1.0", "model": section}))


def names(file, selection):
    by_id = {index: token for token, index in file.ids.items()}
    return [by_id[index] for index in selection.ids]


def pick(file, *used, **options):
    counts = Counter({file.ids[piece]: len(used) - place for place, piece in enumerate(used)})
    return select(file, counts, {0}, **({"min_count": 1, "max_tokens": None, "keep_first": 0} | options))


def unknown(file, text):
    (ids,) = file.encode([text])
    return ids.count(file.unknown_id)


def check_that_all_stay(file, used, text):
    """Dropping all that isn't used would make ``text`` unreadable; so nothing is dropped."""
    selection = pick(file, *used)
    assert "without a piece of their own" in selection.kept_all_because
    assert len(selection.ids) == len(file.ids)
    essential = {file.ids[piece] for piece in file.vocabulary.essential()}
    ids = sorted({0, *essential, *(file.ids[piece] for piece in used)})
    naive = file.trimmed({old: new for new, old in enumerate(ids)})
    assert unknown(file, text) == 0
    assert unknown(naive, text) > 0


def test_a_wordpiece_that_another_runs_into():
    file = wordpiece("x", "##w", "##y", "xw", "##wy", "##yz")
    check_that_all_stay(file, ["##wy"], "xwyz")
    safe = pick(file)
    assert safe.kept_all_because is None
    assert names(file, safe) == ["?", "x", "##w", "##y", "##yz"]


def test_a_unigram_piece_that_another_runs_into():
    check_that_all_stay(unigram(s=-5, t=-30, y=-9, st=-1, ty=-1, yz=-25), ["ty"], "styz")


def test_words_that_cannot_be_spelled_stay_with_ignore_merges():
    vocabulary = {piece: index for index, piece in enumerate(["?", "a", "b", "ab", "xyz"])}
    section = {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"]], "unk_token": "?", "ignore_merges": True}
    file = TokenizerFile(json.dumps({"version": "1.0", "model": section}))
    assert names(file, pick(file)) == ["?", "a", "b", "xyz"]


def test_the_most_used_first_and_old_order():
    file = wordpiece("a", "##a", "aa", "aaa", "##aa", "aaaa")
    assert names(file, pick(file, "aaaa", "aa", "aaa", max_tokens=5)) == ["?", "a", "##a", "aa", "aaaa"]
    assert names(file, pick(file, "aaaa", "aa", "aaa", min_count=3)) == ["?", "a", "##a", "aaaa"]
    assert names(file, pick(file, keep_first=4)) == ["?", "a", "##a", "aa"]
    selection = pick(file, "aaaa", keep_first=4, max_tokens=4)
    assert selection.counts == {"special_and_configured": 1, "characters_and_essential": 2, "used": 1, "first": 0}
    assert selection.new_ids == {0: 0, 1: 1, 2: 2, 6: 3}


def test_a_merged_piece_counts_with_its_parts():
    vocabulary = {piece: index for index, piece in enumerate(["?", "a", "ab", "abc", "b", "c"])}
    merges = [["a", "b"], ["ab", "c"]]
    section = {"type": "BPE", "vocab": vocabulary, "merges": merges, "unk_token": "?"}
    file = TokenizerFile(json.dumps({"version": "1.0", "model": section}))
    assert names(file, pick(file, "abc")) == ["?", "a", "ab", "abc", "b", "c"]
    assert names(file, pick(file, "abc", "ab", max_tokens=5)) == ["?", "a", "ab", "b", "c"]


def test_too_small_a_limit_is_refused():
    with pytest.raises(RecipeError, match="max_tokens = 2: 3 tokens must stay"):
        pick(wordpiece("a", "##a", "aa"), max_tokens=2)
