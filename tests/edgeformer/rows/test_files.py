import json

import pytest

from edgeformer.errors import SamplesError
from edgeformer.rows.files import read_bytes, rows_of


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(row.where, dict(row.cells)) for row in rows_of(path, read_bytes(path))]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_header_tells_the_separator(tmp_path, separator):
    text = f'text{separator}label\r\n"a, b; c\t|\r\nd"{separator}x\r\n\r\n   \r\n{separator}\r\n'
    assert read(tmp_path / "rows.csv", text) == [("line 3", {"text": "a, b; c\t|\r\nd", "label": "x"})]


def test_one_column_holds_what_it_likes(tmp_path):
    assert read(tmp_path / "rows.csv", 'text\n"a;b"\nc|d\n') == [
        ("line 2", {"text": "a;b"}),
        ("line 3", {"text": "c|d"}),
    ]


def test_a_long_document_is_one_cell(tmp_path):
    text = "word " * 60_000
    assert read(tmp_path / "rows.csv", f"text,label\n{text},x\n") == [("line 2", {"text": text, "label": "x"})]


def test_a_file_that_lost_its_line_ends_is_refused_at_once(tmp_path):
    with pytest.raises(SamplesError, match="the header names 'x' twice"):
        read(tmp_path / "rows.csv", "text,label" + ",x" * 200_000)


def test_a_list_is_rows(tmp_path):
    rows = [{"text": "a"}, {"text": "b"}]
    for name in ("rows.json", "rows.jsonl"):
        assert read(tmp_path / name, json.dumps(rows, indent=2)) == [("row 1", rows[0]), ("row 2", rows[1])]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("rows.csv", "text,text\na,b\n", "the header names 'text' twice"),
        ("rows.csv", "text,label\na\n", r"line 2: expected 2 columns, as the header has, got 1 \(separated by ','"),
        ("rows.csv", "text,label\n".encode("utf-16"), "UTF-16"),
        ("rows.csv", b"text\n\xff\n", "line 2: not UTF-8"),
        ("rows.json", '{"text": {"0": "a"}, "label": {"0": 1}}', "a column at a time.*orient='records'"),
        ("rows.json", '{\n "text": "a"\n}\n', "line 1: not valid JSON.*one whole object"),
        ("rows.json", '[{"text": "a"},', "line 1: not valid JSON"),
        ("rows.jsonl", "[" * 100_000, "nested too deeply"),
        ("rows.jsonl", '{"text": "a", "label": ' + "9" * 5000 + "}", "not valid JSON"),
        ("rows.parquet", b"PAR1", r"\.parquet is not read here.*read_parquet\('rows.parquet'\).to_json\('rows.jsonl'"),
        ("rows.arrow", b"ARROW1", "read_feather"),
        ("rows.xlsx", b"PK", "read_excel"),
    ],
)
def test_refused_by_name(tmp_path, name, content, expected):
    with pytest.raises(SamplesError, match=f"(?s){expected}"):
        read(tmp_path / name, content)


def test_a_folder_is_named(tmp_path):
    with pytest.raises(SamplesError, match=r"is a folder.*load_from_disk"):
        read_bytes(tmp_path)
