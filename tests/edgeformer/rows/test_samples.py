import json

import pytest

from edgeformer.errors import SamplesError
from edgeformer.rows.samples import has_pairs, read_samples
from edgeformer_runtime.bundle.manifest import TaskSpec

NEWS = TaskSpec("text-classification", ("sport", "tech"))
TOKENS = TaskSpec("token-classification", ("O", "B-PER"))


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("labels", [("sport", "tech"), ("0", "1")])
def test_csv_labels_by_name_or_id(tmp_path, labels):
    path = write(tmp_path, "rows.csv", f'text,label\n"a, b",{labels[0]}\nc,{labels[1]}\n')
    rows = read_samples(path, NEWS, evaluation=True).rows
    assert [(row.text, row.target) for row in rows] == [("a, b", 0), ("c", 1)]


def test_jsonl_pairs(tmp_path):
    lines = [
        {"sentence1": "a", "sentence2": "b", "label": "tech"},
        {"sentence1": "c", "sentence2": "d", "label": "sport"},
    ]
    path = write(tmp_path, "rows.jsonl", "\n".join(map(json.dumps, lines)))
    samples = read_samples(path, NEWS, evaluation=True)
    assert samples.pair
    assert has_pairs(path)
    assert samples.rows[0].text_pair == "b"


def test_quoted_newlines_count_as_lines(tmp_path):
    path = write(tmp_path, "rows.csv", 'text,label\n"two\nlines",sport\nx,fish\n')
    with pytest.raises(SamplesError, match="line 4: label 'fish' is none of the model's: sport, tech"):
        read_samples(path, NEWS, evaluation=True)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("rows.csv", "text,label\na,sport,extra\n", "line 2: expected 2 columns"),
        ("rows.csv", "text,label\na\n", "line 2: expected 2 columns"),
        ("rows.csv", 'text,label\n"a,sport\n', "line 2.*malformed CSV|malformed CSV"),
        ("rows.csv", "text,label\n", "holds no rows"),
        ("rows.csv", "", "holds no rows"),
        ("rows.csv", "words,label\na,sport\n", "no text"),
        ("rows.csv", "text,label\na,sport\nb,sport\n", "every row has the label 'sport'"),
        ("rows.csv", "text,label\na,sport\nb,\n", r"row 2 \(line 3\) has no label"),
        ("rows.csv", "text,label\na,2\nb,0\n", "none of the model's"),
        ("rows.jsonl", '{"text": "a", "label": 0}\n{"text": \n', "line 2: not valid JSON"),
        ("rows.jsonl", "[1]\n", "row 1: expected a JSON object, got int"),
        ("rows.jsonl", '{"text": 3, "label": 0}\n', "texts must be strings"),
        ("rows.jsonl", '{"text": "a", "label": true}\n{"text": "b", "label": 0}\n', "line 1: label True"),
        ("rows.txt", "a\n", "expected .csv, .tsv or .jsonl"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, name, text, expected):
    with pytest.raises(SamplesError, match=expected):
        read_samples(write(tmp_path, name, text), NEWS, evaluation=True)


def test_not_utf8(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"text,label\nok,sport\n\xff\xfe,tech\n")
    with pytest.raises(SamplesError, match="line 3: not UTF-8"):
        read_samples(path, NEWS, evaluation=True)


def test_missing_file(tmp_path):
    with pytest.raises(SamplesError, match="No such file"):
        read_samples(tmp_path / "none.csv", NEWS, evaluation=True)


def test_calibration_needs_no_labels(tmp_path):
    path = write(tmp_path, "rows.csv", "text\na\nb\n")
    samples = read_samples(path, NEWS, evaluation=False)
    assert len(samples) == 2
    assert not samples.labelled


def test_tokens_and_labels_have_equal_lengths(tmp_path):
    row = {"tokens": ["Ada", "wrote"], "labels": ["B-PER"]}
    with pytest.raises(SamplesError, match="one label for each of 2 tokens"):
        read_samples(write(tmp_path, "r.jsonl", json.dumps(row)), TOKENS, evaluation=True)


def test_multi_label(tmp_path):
    task = TaskSpec("text-classification", ("a", "b", "c"), multi_label=True)
    rows = read_samples(write(tmp_path, "r.csv", "text,label\nx,a|c\n"), task, evaluation=True).rows
    assert rows[0].target == [0, 2]


@pytest.mark.parametrize("character", ["\u0085", "\u2028", "\x0b", "\x1c"])
def test_only_line_feeds_end_a_row(tmp_path, character):
    """Scraped text holds characters that Python's splitlines takes for line ends."""
    text = f"a {character} b"
    csv_file = write(tmp_path, "rows.csv", f"text,label\n{text},sport\nc,tech\n")
    jsonl = write(
        tmp_path, "rows.jsonl", "\n".join(json.dumps({"text": t, "label": 0}, ensure_ascii=False) for t in (text, "c"))
    )
    for path in (csv_file, jsonl):
        assert [row.text for row in read_samples(path, NEWS, evaluation=False).rows] == [text, "c"]


def captions(root, *rows):
    """A table of pictures, each by its bytes, with texts."""
    lines = ["image,caption"]
    for number, (shown, text) in enumerate(rows):
        (root / f"{number}.png").write_bytes(shown)
        lines.append(f"{number}.png,{text}")
    (root / "captions.csv").write_text("\n".join(lines))
    return root / "captions.csv"


def test_a_row_of_a_picture_knows_all_texts_of_the_picture(tmp_path):
    file = captions(tmp_path, (b"1", "a cat"), (b"2", "a dog"), (b"1", "a pet"), (b"1", "a cat"), (b"3", "a pet"))
    samples = read_samples(file, TaskSpec("image-text-similarity"), evaluation=True)
    assert [row.target for row in samples.rows] == [
        ("a cat", "a pet"), ("a dog",), ("a pet", "a cat"), ("a cat", "a pet"), ("a pet",),
    ]  # fmt: skip
    assert samples.described() == "paths from image and caption; caption holds texts"


@pytest.mark.parametrize(
    "rows", [[(b"1", "a cat"), (b"2", "a cat")], [(b"1", "a cat"), (b"1", "a pet")], [(b"1", "a cat")]]
)
def test_texts_that_can_not_be_wrong_judge_nothing(tmp_path, rows):
    file = captions(tmp_path, *rows)
    with pytest.raises(SamplesError, match="different pictures with different texts"):
        read_samples(file, TaskSpec("image-text-similarity"), evaluation=True)
    assert len(read_samples(file, TaskSpec("image-text-similarity"), evaluation=False)) == len(rows)
