"""Texts from files of every kind."""

import json

import pytest

from edgeformer.errors import InputError, SamplesError
from edgeformer.vocabulary.corpora import read_corpus
from edgeformer_runtime.bundle.manifest import TaskSpec

CLASSIFICATION = TaskSpec("text-classification", labels=("no", "yes"))
TOKENS = TaskSpec("token-classification", labels=("O",))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_every_format(tmp_path):
    paths = [
        write(tmp_path / "a.txt", "\ufeffone line\n\n  \nnext\u2028still next\n"),
        write(tmp_path / "b.csv", 'text,label\n"in, csv",a label of another task\n'),
        write(tmp_path / "c.jsonl", json.dumps({"sentence1": "first", "sentence2": "second"})),
    ]
    corpus = read_corpus(paths, None, CLASSIFICATION, use_rows=True)
    assert corpus.texts == ("one line", "next\u2028still next", "in, csv", "first", "second")
    assert [source["rows"] for source in corpus.sources] == [2, 1, 1]


def test_words_are_joined_as_they_are_encoded(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({"tokens": ["two", "words"]}))
    assert read_corpus([path], None, TOKENS, use_rows=False).texts == ("two words",)


def test_the_digest_knows_where_texts_end(tmp_path):
    first = read_corpus([write(tmp_path / "a.txt", "ab\nc")], None, CLASSIFICATION, use_rows=False)
    second = read_corpus([write(tmp_path / "b.txt", "a\nbc")], None, CLASSIFICATION, use_rows=False)
    assert first.digest() != second.digest()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"\n \n", "holds no text"),
        ("latin.txt", b"\xe9", "can't be read as UTF-8"),
        ("a.pdf", b"%PDF", r"corpora: .*'.pdf' is unknown.*\.txt files"),
        ("a.csv", b"label\n1\n", "no text"),
    ],
)
def test_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SamplesError, match=message):
        read_corpus([str(tmp_path / name)], None, CLASSIFICATION, use_rows=False)


def test_no_text_at_all():
    with pytest.raises(InputError, match="has no text"):
        read_corpus([], None, CLASSIFICATION, use_rows=True)
